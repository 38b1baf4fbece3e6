internal import HTTPTypes
internal import NIOCore

/// The prefill leg.
extension RequestDriver {
    func openPrefill() {
        lostOnStaleConnection = false
        if machine.rules.expectedNotices > 0, let attempt { loop.awaitNotices(attempt.id, for: self) }
        sendPrefill(fresh: needsFreshConnections)
    }

    private func sendPrefill(fresh: Bool) {
        guard let prefill, let attempt else { return perform(machine.prefillFailed(.connect)) }
        let leg = handoff.prefillLeg(request, attempt)
        let tokens = queuedTokens
        let exchange = CollectingExchange { [self] result in
            leavePrefill(prefill, tokens, result)
            guard prefillExchange != nil, self.attempt?.id == attempt.id else {
                return leftPrefillEnded(result, attempt)
            }
            prefillExchange = nil
            prefillDeadline = nil
            let status = (try? result.get())?.head.status
            trace?.end("prefill")
            record.timeline.prefillEnded(at: Self.now, succeeded: status.map { $0 < 300 } ?? false)
            prefillEnded(result, at: prefill)
        }
        prefillExchange = exchange
        record.timeline.prefillSent(at: Self.now)
        prefillDeadline = loop.upstream.tick + loop.prefillTicks
        enterPrefill(prefill)
        kvIsOpen = true
        if loop.measuresSpeed { prefill.meter.prefillBegan(at: NIODeadline.now().uptimeNanoseconds) }
        let joined = trace?.begin("prefill", backend: prefill.backend.id) ?? []
        loop.upstream.send(
            head: heads.head(of: leg, to: prefill, joining: joined), body: leg.body, to: prefill, fresh: fresh,
            for: exchange)
    }

    func cancelPrefill() {
        guard let exchange = prefillExchange else { return }
        record.timeline.prefillEnded(at: Self.now, succeeded: false)
        prefillExchange = nil
        prefillDeadline = nil
        guard machine.rules.release == .rejectedDecode, exchange.wasSent, let attempt else {
            endKV(.cancelled)
            exchange.cancel()
            if let prefill { leavePrefill(prefill, queuedTokens, nil) }
            return
        }
        // Its answer may be on its way, with KV that would be held until its lease ends.
        leftHolds[attempt.id] = takeHold()
        kvIsOpen = false
        loop.awaitEnd(of: exchange)
        exchange.leave()
    }

    /// The leg's end is counted; `result` is nil where it was cancelled.
    private func leavePrefill(
        _ prefill: BackendState, _ tokens: Int, _ result: Result<CollectingExchange.Answer, UpstreamFailure>?
    ) {
        prefill.leave(tokens: tokens)
        if loop.measuresSpeed {
            var computed = 0
            if case .success(let whole) = result, whole.head.status < 300 { computed = tokens }
            prefill.meter.prefillEnded(tokens: computed, at: NIODeadline.now().uptimeNanoseconds)
        }
        loop.shared.admission.roomFreed()
    }

    /// A cancelled prefill's connection ended; where its answer came first, the KV it left is freed.
    private func leftPrefillEnded(
        _ result: Result<CollectingExchange.Answer, UpstreamFailure>, _ attempt: HandoffAttempt
    ) {
        loop.left()
        let hold = leftHolds.removeValue(forKey: attempt.id)
        guard case .success(let whole) = result, whole.head.status < 300 else {
            loop.metrics.count(.cancelled)
            return loop.end(hold)
        }
        release(attempt, PrefillAnswer(status: whole.head.status, body: whole.body), hold)
    }

    private func prefillEnded(_ result: Result<CollectingExchange.Answer, UpstreamFailure>, at backend: BackendState) {
        switch result {
        case .success(let whole): prefillAnswered(whole, at: backend)
        case .failure(.staleConnection): resendPrefill(to: backend)
        case .failure(.connect(let why)):
            blamePrefill(backend, DisaggError(.unavailable, "\(backend.backend.id) cannot connect: \(why)"))
            perform(machine.prefillFailed(lostOnStaleConnection ? .broken : .connect))
        case .failure(let failure):
            backend.recordFailure()
            blamePrefill(backend, DisaggError(.badGateway, "\(backend.backend.id): \(failure)"))
            perform(machine.prefillFailed(.broken))
        }
        // A decode that answers already needed it only for this.
        forgetRequest()
    }

    private func prefillAnswered(_ whole: CollectingExchange.Answer, at backend: BackendState) {
        prefillHead = whole.head
        prefillBody = whole.body
        let read = PrefillAnswer(status: whole.head.status, body: whole.body, contextLength: decode?.contextLength)
        backend.record(.status(whole.head.status, retryAfter: whole.head.retryAfter), at: .now())
        switch whole.head.status {
        case 200..<300:
            let verdict = handoff.judge(read, for: request)
            guard verdict != .failed else {
                backend.recordFailure()
                blamePrefill(backend, DisaggError(.badGateway, "\(backend.backend.id) answered with an error"))
                return perform(machine.prefillAnswered(.failed))
            }
            answer = read
            observePrefillTime(at: backend)
            logprobMerge?.read(whole.body, isStream: request.isStream)
            merge = handoff.firstTokenMerge(request, answer: read)
            if verdict == .unusable {
                reason = .firstTokenPartial
                merge = nil
            }
            if let lease = loop.leaseTicks { leaseDeadline = loop.upstream.tick + lease }
            perform(machine.prefillAnswered(verdict))
        case 400..<500 where whole.head.status != 429:
            reason = .prefillRejected
            // What it rejects it sends to no decoder.
            endHold()
            perform(machine.prefillAnswered(.rejected))
        default:
            blamePrefill(backend, DisaggError(.badGateway, "\(backend.backend.id) answered \(whole.head.status)"))
            perform(machine.prefillAnswered(.failed))
        }
    }

    /// The pooled connection had been closed: the leg goes out again on a new one.
    private func resendPrefill(to backend: BackendState) {
        guard machine.rules.dispatch == .sequential, let old = attempt else {
            // The decoder has the ids already, and the engine may have read them: both legs are sent anew.
            needsFreshConnections = true
            return perform(machine.prefillFailed(.connect))
        }
        lostOnStaleConnection = true
        var new = old
        new.id = RequestID(loop: loop.index, using: &loop.generator)
        // The engine may have taken the last turn's blocks.
        new.previousTurn = nil
        ids.append(new.id)
        attempt = new
        noticeConnections = []
        if machine.rules.expectedNotices > 0 { loop.awaitNotices(new.id, for: self) }
        sendPrefill(fresh: true)
    }

    func blamePrefill(_ backend: BackendState, _ error: DisaggError) {
        triedPrefill.append(backend)
        backend.facts = nil
        failure = error
    }

    // MARK: The first token from the prefill engine

    /// Sends the first token to a streaming client as soon as it is known.
    func openStreamEarly() {
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
        if let decisionLine { lines.writeString(decisionLine) }
        sink.begin(status: 200, lines: lines, framing: .stream)
        sink.write(ByteBuffer(bytes: bytes))
    }

    /// The prefill's answer is the client's: an error as it came, or a complete answer.
    func answerFromPrefill() {
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
        var lines = prefillHead.clientLines(requestID: requestID)
        if let decisionLine { lines.writeString(decisionLine) }
        sink.begin(status: prefillHead.status, lines: lines, framing: .length(prefillBody.readableBytes))
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
}
