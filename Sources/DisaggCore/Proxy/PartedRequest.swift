internal import NIOCore
internal import Tracing

/// A request for several prompts or choices, served as one hand-off for each: the layer above ``RequestDriver``.
///
/// Some parts run at once, the next one begins when one ends. The first part that fails is the whole's failure: its error
/// goes to the client as the endpoint writes errors, and the other parts are left by their protocol's rule. The client's
/// slowness pauses all parts.
final class PartedRequest: RequestInFlight {
    /// Parts that run at the same time.
    static let maximumConcurrent = 16
    /// Bytes of whole answers that are held until all parts have ended.
    static let maximumHeldBytes = 64 << 20

    /// Why a part cannot be completed.
    enum Failure { case broken, tooLarge }

    private let loop: LoopContext
    private let sink: ResponseSink
    private let split: RequestSplit
    private let headers: HeaderBlock
    private let wish: PairWish
    private let requestID: String
    private var merge: PartStreamMerge
    private var running: [Int: RequestDriver] = [:]
    private var prompt: (index: Int, request: GenerationRequest)?
    private var next = 0
    private var ended = 0
    private var bodies: [ByteBuffer]
    private var heldBytes = 0
    private var isStreaming = false
    private var isWritable = true
    private var isOver = false
    private var isStarting = false
    /// How the first part that answered was served.
    private var decision: HandoffDecision?
    /// What the log and the metrics show: a split request is one request.
    private var record: RequestRecord
    private let trace: RequestTrace?
    private let parent: ServiceContext?
    private var status = 0
    /// Parts that were begun and are not over: also those that were left, which end by their protocol's rule.
    private var unfinished = 0
    private var hasAnswered = false
    private var isRecorded = false

    /// - Parameter parent: the span that the request belongs to, where an embedding server has one.
    init(
        loop: LoopContext, sink: ResponseSink, split: RequestSplit, headers: HeaderBlock, wish: PairWish,
        parent: ServiceContext? = nil
    ) {
        self.loop = loop
        self.sink = sink
        self.split = split
        self.headers = headers
        self.wish = wish
        requestID = RequestHeadWriter.requestID(headers, using: &loop.generator, loop: loop.index)
        trace = loop.shared.tracer.map {
            RequestTrace($0, headers: headers, parent: parent, name: "POST \(split.request.endpoint.rawValue)")
        }
        self.parent = trace?.context ?? parent
        record = RequestRecord(
            split.request, requestID: requestID, traceParent: headers.first("traceparent"), at: RequestDriver.now)
        let prefix = split.request.endpoint == .chatCompletions ? "chatcmpl-" : "cmpl-"
        id = prefix + requestID
        merge = PartStreamMerge(id: id, samples: split.request.endpoint == .native ? split.choices : nil)
        bodies = Array(repeating: ByteBuffer(), count: split.count)
    }

    /// The answer's id: what an engine would make of the request's.
    private let id: String
    private var endpoint: GenerationRequest.Endpoint { split.request.endpoint }

    func start() {
        loop.metrics.requestsInFlight += 1
        startMore()
    }

    private func startMore() {
        // A part can end while it is being started.
        guard !isStarting else { return }
        isStarting = true
        while !isOver, next < split.count, running.count < Self.maximumConcurrent { startNext() }
        isStarting = false
    }

    private func startNext() {
        let index = next
        next += 1
        do throws(DisaggError) {
            let part = try request(of: index)
            let driver = RequestDriver(
                loop: loop, sink: PartSink(index: index, whole: self), request: part, headers: headers, parent: parent,
                requestID: "\(requestID)-\(index)", alone: loop.shared.handoff.reasonToDecodeAlone(part),
                onEnd: { [self] in partIsOver($0) })
            driver.wish = wish
            running[index] = driver
            unfinished += 1
            if !isWritable { driver.clientIsWritable(false) }
            loop.begin(driver)
        } catch {
            fail(status: error.code.statusCode, body: endpoint.errorBody(error))
        }
    }

    private func request(of index: Int) throws(DisaggError) -> GenerationRequest {
        let number = split.prompt(of: index)
        if let prompt, prompt.index == number { return prompt.request }
        let request = try split.request(prompt: number)
        prompt = (number, request)
        return request
    }

    // MARK: What the parts tell

    /// Whether that many more bytes of whole answers may be held.
    func mayHold(_ count: Int) -> Bool {
        heldBytes += count
        return heldBytes <= Self.maximumHeldBytes
    }

    /// An event of a part's stream.
    func event(_ data: UnsafeRawBufferPointer, of part: PartSink, to output: inout ByteBuffer) {
        guard !isOver else { return }
        let outcome = merge.write(
            data, index: part.index, countsPrompt: split.isFirstOfPrompt(part.index), to: &output)
        guard outcome == .failed else { return }
        // The part's own error is the stream's last event.
        output.writeStaticString("data: [DONE]\n\n")
        beginStream(part)
        sink.write(output)
        output.clear()
        over(but: part)
        sink.end()
        answered()
    }

    /// Events for the client.
    func send(_ bytes: ByteBuffer) {
        guard !isOver, bytes.readableBytes > 0 else { return }
        beginStream(nil)
        sink.write(bytes)
        sink.flush()
    }

    private func beginStream(_ part: PartSink?) {
        guard !isStreaming else { return }
        isStreaming = true
        status = 200
        record.timeline.firstByte(at: RequestDriver.now)
        sink.begin(status: 200, lines: lines("text/event-stream; charset=utf-8"), framing: .stream)
    }

    func partEnded(_ part: PartSink) {
        let driver = running.removeValue(forKey: part.index)
        guard !isOver else { return }
        if decision == nil { decision = driver?.decision }
        guard part.status == 200, part.isEventStream == split.request.isStream else {
            return fail(status: part.status, body: part.body)
        }
        ended += 1
        if !part.isEventStream { bodies[part.index] = part.body }
        guard ended == split.count else { return startMore() }
        complete()
    }

    func partFailed(_ part: PartSink, _ failure: Failure) {
        let driver = running.removeValue(forKey: part.index)
        if failure == .tooLarge { driver?.leave() }
        guard !isOver else { return }
        guard !isStreaming, isWritable else {
            over(but: part)
            sink.abort()
            return answered()
        }
        let error = DisaggError(
            .badGateway,
            failure == .tooLarge ? "the answer is too large" : "an engine's answer ended before it was complete")
        fail(status: error.code.statusCode, body: endpoint.errorBody(error))
    }

    // MARK: The end

    private func complete() {
        if split.request.isStream {
            var end = ByteBuffer()
            merge.writeEnd(to: &end)
            beginStream(nil)
            over(but: nil)
            sink.write(end)
            sink.end()
            return answered()
        }
        guard let answer = PartAnswerMerge.merge(bodies, of: split, id: id) else {
            let error = DisaggError(.badGateway, "an engine's answer has no choice")
            return fail(status: error.code.statusCode, body: endpoint.errorBody(error))
        }
        over(but: nil)
        status = 200
        record.timeline.firstByte(at: RequestDriver.now)
        sink.begin(status: 200, lines: lines("application/json"), framing: .length(answer.readableBytes))
        sink.write(answer)
        sink.end()
        answered()
    }

    /// Ends the whole with an error: as an answer, or as the last event of a stream that has begun.
    private func fail(status: Int, body: ByteBuffer) {
        decision = decision ?? running.values.first?.decision
        over(but: nil)
        if !isStreaming { self.status = status }
        if isStreaming {
            sink.write(endpoint.errorEvents(engineBody: body))
        } else {
            sink.begin(status: status, lines: lines("application/json"), framing: .length(body.readableBytes))
            if body.readableBytes > 0 { sink.write(body) }
        }
        sink.end()
        answered()
    }

    /// Nothing more goes to the client; the parts that still run are left.
    private func over(but part: PartSink?) {
        isOver = true
        let left = running
        running = [:]
        prompt = nil
        bodies = []
        for (index, driver) in left where index != part?.index { driver.leave() }
    }

    private func lines(_ contentType: String) -> ByteBuffer {
        var lines = ByteBuffer(string: "content-type: \(contentType)\r\nx-request-id: \(requestID)\r\n")
        if loop.settings.requests.showsDecision,
            var decision = decision ?? running.values.first?.decision
        {
            decision.parts = split.count
            lines.writeString(decision.line)
        }
        return lines
    }

    // MARK: The client

    func clientGone() {
        guard !isOver else { return }
        loop.metrics.clientsGone += 1
        record.clientLeft = true
        if status == 0 { status = 499 }
        over(but: nil)
        answered()
    }

    // MARK: The record

    /// Nothing more goes to the client.
    private func answered() {
        hasAnswered = true
        finishIfOver()
    }

    /// A part has ended, answered or not.
    private func partIsOver(_ part: RequestDriver) {
        unfinished -= 1
        loop.metrics.countStages(of: part.record)
        record.retries += part.record.retries
        record.failed.formUnion(part.record.failed)
        record.events += part.record.events
        if record.reason.isEmpty || record.reason == HandoffReason.disaggregated.rawValue {
            record.reason = part.record.reason
            record.prefill = part.record.prefill
            record.decode = part.record.decode
        }
        finishIfOver()
    }

    private func finishIfOver() {
        guard hasAnswered, unfinished == 0, !isRecorded else { return }
        isRecorded = true
        record.timeline.ended(at: RequestDriver.now)
        record.status = status
        record.handoff = loop.shared.deployment.handoff.rawValue
        record.bytesOut = sink.bodyBytes
        loop.metrics.requestsInFlight -= 1
        loop.record(&record)
        trace?.end(record)
    }

    func clientIsWritable(_ isWritable: Bool) {
        self.isWritable = isWritable
        for driver in Array(running.values) { driver.clientIsWritable(isWritable) }
    }
}
