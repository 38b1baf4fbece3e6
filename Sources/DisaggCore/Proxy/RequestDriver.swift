internal import HTTPTypes
internal import Logging
internal import NIOCore

/// Serves one generation request: does what its ``HandoffMachine`` says, on one event loop, and tells it what happened.
final class RequestDriver: RequestInFlight {
    /// How often a leg or pair may be tried again before the client is told.
    static let retries = 2
    /// How long a notification that missed its deadline is still listened for, to free the KV it announces: this many
    /// times the deadline.
    static let lateNotice = 6

    private let loop: LoopContext
    private let sink: ResponseSink
    private var request: GenerationRequest
    private let heads: RequestHeadWriter
    private let requestID: String
    private let started = NIODeadline.now()
    private var machine: HandoffMachine

    private var prefill: BackendState?
    private var decode: BackendState?
    /// The decoder the present prefill was told to send its KV to; ``decode`` may have been replaced since.
    private var receiver: BackendState?
    private var triedPrefill: [BackendState] = []
    private var triedDecode: [BackendState] = []
    private var ids: [RequestID] = []
    private var noticeConnections: [UInt64] = []

    private var prefillExchange: CollectingExchange?
    private var prefillHead: UpstreamHead?
    private var prefillBody = ByteBuffer()
    private var answer: PrefillAnswer?
    private var decodeExchange: DecodeExchange?
    private var decodeIsHandedOff = false
    private var merge: FirstTokenMerge?
    private var streamIsOpen = false
    /// The leg was sent on a pooled connection that ended without a byte. Mostly an idle limit; but where the engine
    /// then refuses connections it may have died of the request, or after reading it: so it counts as sent.
    private var lostOnStaleConnection = false

    private var reason = HandoffReason.disaggregated
    private var failure = DisaggError(.unavailable, "no decode backend can be reached; see /ready")
    private var status = 0
    private var prefillDeadline: Int?
    private var noticeDeadline: Int?
    private var pausedSince: Int?
    /// What the log, the metrics and the live page show in the end.
    private var record = RequestRecord()
    private var awaitsNotices = false
    private var isOver = false

    init(loop: LoopContext, sink: ResponseSink, request: GenerationRequest, headers: HeaderBlock) {
        self.loop = loop
        self.sink = sink
        self.request = request
        requestID = RequestHeadWriter.requestID(headers, using: &loop.generator, loop: loop.index)
        heads = RequestHeadWriter(headers, requestID: requestID)
        record.timeline = RequestTimeline(started: started.uptimeNanoseconds)
        record.requestID = requestID
        record.traceID = TraceParent.traceID(headers.first("traceparent"))
        record.path = request.endpoint.rawValue
        record.isStream = request.isStream
        record.bytesIn = request.body.readableBytes
        machine = HandoffMachine(rules: loop.shared.handoff.rules, retries: Self.retries)
    }

    private var handoff: any HandoffProtocol { loop.shared.handoff }
    private var settings: ProxySettings { loop.settings }

    // MARK: Choosing

    func start() {
        var alone = handoff.reasonToDecodeAlone(request)
        if alone == nil, loop.shared.pool.prefill.isEmpty { alone = .noPrefillBackend }
        if let alone { reason = alone }
        chooseDecode { [self] found in
            guard found else { return perform(machine.noBackend()) }
            if alone == nil, !choosePrefill() {
                reason = .noPrefillBackend
                return perform(machine.start(alone: true))
            }
            perform(machine.start(alone: alone != nil))
        }
    }

    private func choosePrefill() -> Bool {
        prefill = loop.pick(.prefill, excluding: triedPrefill)
        return prefill != nil
    }

    /// Chooses a decoder, and where the protocol wants it makes sure of it before any prefill is sent.
    private func chooseDecode(completion: @escaping (Bool) -> Void) {
        guard let chosen = loop.pick(.decode, excluding: triedDecode) else {
            decode = nil
            return completion(false)
        }
        decode = chosen
        guard machine.rules.checksDecoderFirst else { return completion(true) }
        loop.upstream.checkReachable(chosen) { [self] unreachable in
            if let unreachable {
                triedDecode.append(chosen)
                failure = DisaggError(.unavailable, "\(chosen.backend.id) \(unreachable)")
                return chooseDecode(completion: completion)
            }
            learnContextLength(of: chosen) { completion(true) }
        }
    }

    /// The first token's place in the context must be known before the prefill engine may sample it.
    private func learnContextLength(of backend: BackendState, completion: @escaping () -> Void) {
        guard loop.shared.deployment.firstToken == .prefill, reason == .disaggregated, backend.contextLength == nil
        else { return completion() }
        let exchange = CollectingExchange(
            timeout: settings.connectTimeout, on: loop.reactor
        ) { result in
            if case .success(let answer) = result,
                let models = try? JSONView(parsing: Array(answer.body.readableBytesView)),
                let length = models["data"]?[0]?["max_model_len"]?.int
            {
                backend.contextLength = length
            }
            completion()
        }
        loop.upstream.send(
            head: heads.head(method: .get, target: "/v1/models", backend: backend, bodyBytes: nil), body: [],
            to: backend, for: exchange)
    }

    // MARK: Doing what the machine says

    private func perform(_ actions: HandoffActions) {
        if actions.contains(.cancelPrefill) { cancelPrefill() }
        if actions.contains(.cancelDecode) { cancelDecode() }
        if actions.contains(.release) { release() }
        if actions.contains(.expectStrays) { expectStrays() }
        if actions.contains(.answerFromPrefill) { answerFromPrefill() }
        if actions.contains(.fail) {
            status = failure.code.statusCode
            sink.respond(failure, extraLines: "x-request-id: \(requestID)\r\n")
        }
        if actions.contains(.breakStream) { breakStream() }
        if actions.contains(.awaitNotices) {
            openStreamEarly()
            awaitsNotices = true
            record.timeline.beginWait(at: Self.now)
            noticeDeadline = loop.upstream.tick + LoopContext.ticks(settings.notificationTimeout)
        }
        if actions.contains(.retryPair) { retryPair() }
        if actions.contains(.retryDecode) { retryDecode() }
        if actions.contains(.openPrefill) { openPrefill(fresh: false) }
        if actions.contains(.openDecode) {
            openStreamEarly()
            openDecode(handedOff: true, fresh: false)
        }
        if actions.contains(.openDecodeAlone) {
            if reason == .disaggregated { reason = .prefillFailed }
            openDecode(handedOff: false, fresh: false)
        }
        if actions.contains(.relayDecode) {
            decodeExchange?.beginRelay()
            if !machine.needsRequest { forgetRequest() }
        }
        if actions.contains(.finish) { finish() }
    }

    private func retryPair() {
        loop.metrics.retries += 1
        record.retries += 1
        answer = nil
        merge = nil
        chooseDecode { [self] found in
            guard found else { return perform(machine.noBackend()) }
            if choosePrefill() {
                perform(machine.restart(alone: false))
            } else {
                reason = .prefillFailed
                perform(machine.restart(alone: true))
            }
        }
    }

    private func retryDecode() {
        loop.metrics.retries += 1
        record.retries += 1
        if let decode { triedDecode.append(decode) }
        chooseDecode { [self] found in perform(found ? machine.decodeRestarted() : machine.noBackend()) }
    }

    // MARK: Prefill

    private func openPrefill(fresh: Bool) {
        if !fresh { lostOnStaleConnection = false }
        guard let prefill, let decode else { return perform(machine.prefillFailed(.connect)) }
        let id = RequestID(loop: loop.index, using: &loop.generator)
        ids.append(id)
        receiver = decode
        noticeConnections = []
        if machine.rules.expectedNotices > 0 { loop.awaitNotices(id, for: self) }
        let leg = handoff.prefillLeg(
            request, pair: BackendPair(prefill: prefill.backend, decode: decode.backend), id: id)
        let exchange = CollectingExchange { [self] result in
            prefill.leave()
            guard prefillExchange != nil else { return leftPrefillEnded(result) }
            prefillExchange = nil
            record.timeline.prefillEnded(at: Self.now, succeeded: (try? result.get())?.head.status ?? 500 < 300)
            prefillDeadline = nil
            prefillEnded(result, at: prefill)
        }
        prefillExchange = exchange
        record.timeline.prefillSent(at: Self.now)
        prefillDeadline = loop.upstream.tick + LoopContext.ticks(settings.prefillTimeout)
        prefill.enter()
        loop.upstream.send(
            head: heads.head(method: .post, target: leg.path, backend: prefill, bodyBytes: leg.bodyBytes),
            body: leg.body, to: prefill, fresh: fresh, for: exchange)
    }

    private func cancelPrefill() {
        guard let exchange = prefillExchange else { return }
        prefillExchange = nil
        prefillDeadline = nil
        guard machine.rules.release == .rejectedDecode, exchange.wasSent else {
            exchange.cancel()
            prefill?.leave()
            return
        }
        // Its answer may be on its way, with KV that would be held until its lease ends.
        loop.awaitEnd(of: exchange)
        exchange.leave()
    }

    /// A cancelled prefill's connection ended; where its answer came first, the KV it left is freed.
    private func leftPrefillEnded(_ result: Result<CollectingExchange.Answer, UpstreamFailure>) {
        loop.left()
        guard case .success(let whole) = result, whole.head.status < 300 else { return }
        answer = PrefillAnswer(status: whole.head.status, body: whole.body)
        release()
    }

    private func prefillEnded(_ result: Result<CollectingExchange.Answer, UpstreamFailure>, at backend: BackendState) {
        switch result {
        case .success(let whole):
            prefillHead = whole.head
            prefillBody = whole.body
            let read = PrefillAnswer(
                status: whole.head.status, body: whole.body, contextLength: decode?.contextLength)
            switch whole.head.status {
            case 200..<300:
                answer = read
                merge = handoff.firstTokenMerge(request, answer: read)
                let verdict = handoff.judge(read, for: request)
                if verdict == .unusable {
                    reason = .firstTokenPartial
                    merge = nil
                }
                perform(machine.prefillAnswered(verdict))
            case 400..<500 where whole.head.status != 429:
                reason = .prefillRejected
                perform(machine.prefillAnswered(.rejected))
            default:
                backend.recordFailure()
                blamePrefill(backend, DisaggError(.badGateway, "\(backend.backend.id) answered \(whole.head.status)"))
                perform(machine.prefillAnswered(.failed))
            }
        case .failure(.staleConnection):
            lostOnStaleConnection = true
            openPrefill(fresh: true)
        case .failure(.connect(let why)):
            blamePrefill(backend, DisaggError(.unavailable, "\(backend.backend.id) cannot connect: \(why)"))
            perform(machine.prefillFailed(lostOnStaleConnection ? .broken : .connect))
        case .failure(let failure):
            backend.recordFailure()
            blamePrefill(backend, DisaggError(.badGateway, "\(backend.backend.id): \(failure)"))
            perform(machine.prefillFailed(.broken))
        }
    }

    private func blamePrefill(_ backend: BackendState, _ error: DisaggError) {
        triedPrefill.append(backend)
        failure = error
    }

    // MARK: The first token from the prefill engine

    /// Sends the first token to a streaming client as soon as it is known.
    private func openStreamEarly() {
        guard let merge, request.isStream, !streamIsOpen, machine.client == .waiting else { return }
        streamIsOpen = true
        machine.headWasSent()
        beginStream(merge.streamStart(complete: false))
        sink.flush()
    }

    private func beginStream(_ bytes: [UInt8]) {
        status = 200
        sawFirstByte()
        var lines = ByteBuffer(string: "content-type: text/event-stream; charset=utf-8\r\n")
        lines.writeString("x-request-id: \(requestID)\r\n")
        sink.begin(status: 200, lines: lines, framing: .stream)
        sink.write(ByteBuffer(bytes: bytes))
    }

    /// The prefill's answer is the client's: an error as it came, or a complete first token.
    private func answerFromPrefill() {
        guard let prefillHead else { return }
        sawFirstByte()
        if prefillHead.status < 300, let merge {
            if request.isStream {
                beginStream(merge.streamStart(complete: true))
                return sink.end()
            }
            if let whole = merge.wholeAnswer(decode: nil) { prefillBody = ByteBuffer(bytes: whole) }
        }
        status = prefillHead.status
        sink.begin(
            status: prefillHead.status, lines: prefillHead.clientLines(requestID: requestID),
            framing: .length(prefillBody.readableBytes))
        if prefillBody.readableBytes > 0 { sink.write(prefillBody) }
        sink.end()
    }

    // MARK: Notifications

    func noticeArrived(requestID: String, connection: UInt64) {
        // A rank has its own connection; the same one twice is a duplicate. A stray of an earlier attempt is no news.
        guard ids.last?.description == requestID, !noticeConnections.contains(connection) else {
            loop.metrics.notificationsUnknown += 1
            return
        }
        noticeConnections.append(connection)
        let actions = machine.noticeArrived()
        if machine.noticesLeft == 0 { endNoticeWait() }
        perform(actions)
    }

    // MARK: Decode

    private func openDecode(handedOff: Bool, fresh: Bool) {
        if !fresh { lostOnStaleConnection = false }
        guard let decode else { return perform(machine.decodeFailed(.connect, handedOff: handedOff)) }
        let leg: LegRequest
        if handedOff, let answer {
            leg = handoff.decodeLeg(request, answer: answer)
        } else {
            leg = handoff.decodeAloneLeg(request)
        }
        decodeIsHandedOff = handedOff
        record.timeline.decodeSent(at: Self.now)
        let exchange = DecodeExchange(
            driver: self, requestID: requestID, sink: sink, merge: handedOff ? merge : nil, streamIsOpen: streamIsOpen)
        exchange.lastActivity = loop.upstream.tick
        if pausedSince != nil { exchange.pause() }
        decodeExchange = exchange
        decode.enter()
        loop.upstream.send(
            head: heads.head(method: .post, target: leg.path, backend: decode, bodyBytes: leg.bodyBytes),
            body: leg.body, to: decode, fresh: fresh, for: exchange)
    }

    private func closeDecode() {
        guard let exchange = decodeExchange else { return }
        record.events = exchange.chunks
        if exchange.status == 0 { record.timeline.decodeAnswered(at: Self.now, succeeded: false) }
        decodeExchange = nil
        decode?.leave()
    }

    private func cancelDecode() {
        guard let exchange = decodeExchange else { return }
        closeDecode()
        exchange.cancel()
        // A decoder that never saw the request cannot tell the prefill engine.
        if decodeIsHandedOff, !exchange.wasSent, machine.rules.release == .rejectedDecode { release() }
    }

    func decodeBegan(_ exchange: DecodeExchange) {
        guard exchange === decodeExchange else { return }
        record.timeline.decodeAnswered(at: Self.now, succeeded: true)
        if exchange.status >= 500 || exchange.status == 429 {
            failure = DisaggError(.badGateway, "\(decode?.backend.id ?? "decode") answered \(exchange.status)")
            if exchange.status >= 500 { decode?.recordFailure() }
        }
        let actions = machine.decodeHead(
            status: exchange.status, handedOff: decodeIsHandedOff,
            mayRetry: loop.shared.pool.decode.contains { state in
                state !== decode && !triedDecode.contains { $0 === state }
            })
        if actions.contains(.relayDecode) {
            status = streamIsOpen ? 200 : exchange.status
            sawFirstByte()
        }
        if actions.contains(.retryPair), let decode { triedDecode.append(decode) }
        perform(actions)
    }

    func decodeEnded(_ exchange: DecodeExchange) {
        guard exchange === decodeExchange else { return }
        closeDecode()
        sink.end()
        perform(machine.decodeEnded())
    }

    func decodeFailed(_ exchange: DecodeExchange, _ why: UpstreamFailure) {
        guard exchange === decodeExchange, let decode else { return }
        if case .staleConnection = why {
            closeDecode()
            lostOnStaleConnection = true
            return openDecode(handedOff: decodeIsHandedOff, fresh: true)
        }
        var kind = HandoffMachine.Failure.broken
        if case .connect = why {
            if !lostOnStaleConnection { kind = .connect }
        } else {
            decode.recordFailure()
        }
        failure = DisaggError(kind == .connect ? .unavailable : .badGateway, "\(decode.backend.id): \(why)")
        let actions = machine.decodeFailed(kind, handedOff: decodeIsHandedOff)
        // The stream that broke is still needed to end the client's answer well.
        if actions.contains(.breakStream) {
            perform(actions)
            return closeDecode()
        }
        closeDecode()
        if actions.contains(.retryPair) { triedDecode.append(decode) }
        perform(actions)
    }

    private func breakStream() {
        loop.metrics.streamsBroken += 1
        if let decodeExchange {
            decodeExchange.breakAnswer(failure)
        } else {
            sink.write(ByteBuffer(string: "data: " + String(buffer: failure.openAIBody) + "\n\ndata: [DONE]\n\n"))
            sink.end()
        }
    }

    // MARK: Release

    private func release() {
        guard let leg = handoff.releaseLeg(request, answer: answer) else { return }
        // LMCache's KV lies at the decoder it was sent to; NIXL's is freed through any decoder.
        let needsSame = machine.rules.release == .throwAwayDecode
        let another = needsSame ? nil : loop.pick(.decode, excluding: triedDecode) ?? decode
        let backend = needsSame ? receiver : another
        guard let backend else { return }
        loop.release(leg, at: backend, heads: heads)
    }

    /// Hands the notifications that this attempt may still get to the loop, which frees what they announce.
    private func expectStrays() {
        guard let receiver, let id = ids.last, let leg = handoff.releaseLeg(request, answer: answer) else { return }
        loop.expectStrays(
            id,
            StrayNotices(
                leg: leg, backend: receiver, heads: heads, known: noticeConnections,
                expected: machine.rules.expectedNotices,
                deadline: loop.upstream.tick + LoopContext.ticks(settings.notificationTimeout * Self.lateNotice),
                freesAtDeadline: answer != nil))
    }

    /// Lets go of the prompt: a long stream needs it no more.
    private func forgetRequest() {
        request.forgetBody()
        answer = nil
        prefillBody = ByteBuffer()
        prefillHead = nil
    }

    // MARK: The client

    func clientGone() {
        guard !isOver else { return }
        loop.metrics.clientsGone += 1
        record.clientLeft = true
        if status == 0 { status = 499 }
        perform(machine.clientGone())
    }

    func clientIsWritable(_ isWritable: Bool) {
        if isWritable {
            pausedSince = nil
            decodeExchange?.lastActivity = loop.upstream.tick
            decodeExchange?.resume()
        } else {
            if pausedSince == nil { pausedSince = loop.upstream.tick }
            decodeExchange?.pause()
        }
    }

    // MARK: Deadlines

    func checkDeadlines(tick: Int) {
        if let deadline = prefillDeadline, tick >= deadline {
            prefillDeadline = nil
            prefill?.recordFailure()
            failure = DisaggError(
                .gatewayTimeout, "\(prefill?.backend.id ?? "prefill") did not answer within \(settings.prefillTimeout)")
            perform(machine.prefillFailed(.timeout))
        }
        if let deadline = noticeDeadline, tick >= deadline {
            endNoticeWait()
            loop.metrics.notificationsTimedOut += 1
            loop.shared.logger.warning(
                "notification did not come in time, the decoder computes what is missing",
                metadata: [
                    "disagg.request-id": "\(requestID)", "disagg.prefill": "\(prefill?.backend.id ?? "-")",
                    "disagg.decode": "\(decode?.backend.id ?? "-")", "disagg.waited": "\(settings.notificationTimeout)",
                ])
            perform(machine.noticesTimedOut())
        }
        let patience = LoopContext.ticks(settings.decodeIdleTimeout)
        if let pausedSince, tick - pausedSince >= patience {
            // The client stopped reading: it is treated as gone, so that its engine is not held for ever.
            self.pausedSince = nil
            sink.abort()
            clientGone()
        } else if let decodeExchange, pausedSince == nil, tick - decodeExchange.lastActivity >= patience {
            decode?.recordFailure()
            failure = DisaggError(
                .gatewayTimeout, "\(decode?.backend.id ?? "decode") sent nothing for \(settings.decodeIdleTimeout)")
            let actions = machine.decodeFailed(.timeout, handedOff: decodeIsHandedOff)
            if actions.contains(.breakStream) { breakStream() }
            perform(actions.subtracting(.breakStream))
        }
    }

    // MARK: The end

    private static var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    private func sawFirstByte() { record.timeline.firstByte(at: Self.now) }

    private func endNoticeWait() {
        noticeDeadline = nil
        guard awaitsNotices else { return }
        awaitsNotices = false
        record.timeline.endWait(at: Self.now)
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        record.timeline.ended(at: Self.now)
        record.status = status
        record.reason = reason.rawValue
        record.handoff = loop.shared.deployment.handoff.rawValue
        record.prefill = decodeIsHandedOff ? prefill?.backend.id : nil
        record.decode = decode?.backend.id
        record.bytesOut = sink.bodyBytes
        loop.record(record)
        for id in ids { loop.forgetNotices(id) }
        loop.finished(self)
        loop.shared.logger.debug(
            "request served",
            metadata: [
                "disagg.request-id": "\(requestID)", "disagg.status": "\(status)",
                "disagg.reason": "\(reason.rawValue)",
                "disagg.prefill": "\(prefill?.backend.id ?? "-")", "disagg.decode": "\(decode?.backend.id ?? "-")",
            ])
    }

    /// Ends the request at shutdown: nothing is waited for any more.
    func abandon() {
        isOver = true
        prefillExchange?.cancel()
        decodeExchange?.cancel()
    }
}
