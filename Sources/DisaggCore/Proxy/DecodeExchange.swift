internal import NIOCore

/// The decode leg: passes the decoder's answer to the client's sink, raw where nothing must be changed.
///
/// Nothing goes to the client before there is something to be sure of: the event of a stream's first token, or the whole
/// of an answer in one piece (up to ``maximumHeldAnswer``). Until then another decoder can still be tried.
final class DecodeExchange: UpstreamExchange {
    /// A larger answer in one piece is passed on while it comes.
    static let maximumHeldAnswer = 4 << 20
    /// A stream that announces itself at greater length is passed on.
    private static let maximumPreamble = 1 << 16

    /// Nil once the driver has done with this leg: a connection may end after its request did.
    private var driver: RequestDriver?
    private let requestID: String
    private let sink: ResponseSink
    private let merge: FirstTokenMerge?
    /// What must see or change the answer; nil where it passes through as it is.
    private let rewriter: AnswerRewriter?
    /// What replaces a count in the answer's usage; only where something must be replaced.
    private var usage: UsageMerge?
    private let endpoint: GenerationRequest.Endpoint
    /// The number of the last event that was passed on, for responses.
    private var lastSequenceNumber: Int?
    /// Whether the client's stream began before this answer.
    private let streamIsOpen: Bool
    private let unframes: Bool
    private(set) var head: UpstreamHead?
    private var pending: ByteBuffer?
    /// When the answer began to be passed on, and in how many pieces more it came.
    private(set) var began: NIODeadline?
    private(set) var pieces = 0
    /// Whether the answer goes to the client.
    private(set) var isRelaying = false
    /// The status that an error in place of a stream's first token stands for.
    private var failedStatus: Int?
    /// It is being found out whose fault the answer is.
    var isJudged = false
    /// Whether the answer is complete.
    private(set) var hasEnded = false
    private var isEventStream = false
    private var sinkFraming = SinkFraming.none
    private var events = SSEScanner()
    /// Whether events are held back here until they are whole, because no chunk framing passes through that tells.
    private var holdsEvents = false
    /// The beginning of an event whose end has not come.
    private var cutEvent: ByteBuffer?
    /// An event longer than this is passed on in parts.
    private static let maximumHeldEvent = 1 << 20
    /// Set when nobody waits for the answer any more; called at its end.
    private var onLeft: ((LeftEnd) -> Void)?

    init(
        driver: RequestDriver, requestID: String, sink: ResponseSink, merge: FirstTokenMerge?, streamIsOpen: Bool,
        rewriter: AnswerRewriter? = nil, usage: UsageMerge? = nil
    ) {
        self.rewriter = rewriter
        self.driver = driver
        self.usage = merge == nil && rewriter == nil ? usage : nil
        endpoint = driver.request.endpoint
        self.requestID = requestID
        self.sink = sink
        self.merge = merge
        self.streamIsOpen = streamIsOpen
        unframes = merge != nil || rewriter != nil || usage != nil || !sink.takesRawChunks
    }

    /// The driver wants to hear of this leg no more.
    func detach() { driver = nil }

    override var wantsPayload: Bool { unframes }

    /// HTTP status of the answer, 0 before its head came.
    var status: Int { head?.status ?? 0 }

    /// The status by which the decoder is judged: a stream that fails before its first token has 200 on the wire.
    var outcome: Int { failedStatus ?? status }

    override func sent() { driver?.decodeWasSent(self) }

    override func received(_ head: UpstreamHead) {
        self.head = head
        isEventStream = head.value(of: "content-type")?.hasPrefix("text/event-stream") ?? false
        relaysEvents = isEventStream && !unframes
        holdsEvents = isEventStream && merge == nil && rewriter == nil && (unframes || head.scanned.framing != .chunked)
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
        guard onLeft == nil else { return }
        if !holdsEvents { return take(bytes) }
        if let whole = wholeEvents(adding: bytes) { whole.withUnsafeReadableBytes { take($0) } }
    }

    private func wholeEvents(adding bytes: UnsafeRawBufferPointer) -> ByteBuffer? {
        var all = cutEvent ?? ByteBuffer()
        let searched = all.readableBytes
        all.writeBytes(bytes)
        var end = all.readableBytes > Self.maximumHeldEvent ? all.readableBytes : 0
        all.withUnsafeReadableBytes { raw in
            var index = raw.count - 1
            while end == 0, index >= max(1, searched) {
                if raw[index] == 0x0A,
                    raw[index - 1] == 0x0A || (index > 1 && raw[index - 1] == 0x0D && raw[index - 2] == 0x0A)
                {
                    end = index + 1
                }
                index -= 1
            }
        }
        let whole = all.readSlice(length: end)
        cutEvent = all.readableBytes > 0 ? all : nil
        return end > 0 ? whole : nil
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if isRelaying { return relay(bytes) }
        if pending?.writeBytes(bytes) == nil { pending = ByteBuffer(bytes: bytes) }
        let isSure = isEventStream && status == 200 && merge == nil && hasOpened()
        let isLarge = merge == nil && rewriter == nil && (pending?.readableBytes ?? 0) > Self.maximumHeldAnswer
        if isSure || isLarge || (streamIsOpen && status == 200) { driver?.decodeBegan(self) }
    }

    /// Whether the stream shows its first token, or an error in its place.
    private func hasOpened() -> Bool {
        guard failedStatus == nil, let pending else { return true }
        switch pending.withUnsafeReadableBytes({ StreamOpening(reading: $0) }) {
        case .preamble: return pending.readableBytes > Self.maximumPreamble
        case .begun: break
        case .failed(let status): failedStatus = status
        }
        return true
    }

    override func ended() {
        if onLeft != nil { return endLeft(status < 400 ? .answered : .closed) }
        if let rest = cutEvent {
            cutEvent = nil
            rest.withUnsafeReadableBytes { take($0) }
        }
        hasEnded = true
        if !isRelaying { driver?.decodeBegan(self) }
        if isRelaying { driver?.decodeEnded(self) }
    }

    override func failed(_ failure: UpstreamFailure) {
        if onLeft != nil { return endLeft(.closed) }
        driver?.decodeFailed(self, failure)
    }

    // MARK: Leaving

    /// How an exchange that was left came to its end.
    enum LeftEnd {
        /// Its answer was complete all the same.
        case answered
        /// Its connection was closed: by a decoder that saw its client leave, or with a decoder that died.
        case closed
        /// Neither happened in time.
        case silent
    }

    /// Tells the decoder that nobody waits for its answer, and calls back when it has seen that.
    func leave(completion: @escaping (LeftEnd) -> Void) {
        onLeft = completion
        resume()
        leave()
    }

    /// Ends an exchange that was left, where it has not ended.
    func giveUp() {
        guard onLeft != nil else { return }
        cancel()
        endLeft(.silent)
    }

    private func endLeft(_ end: LeftEnd) {
        let completion = onLeft
        onLeft = nil
        completion?(end)
    }

    // MARK: Relaying

    /// Begins to pass the answer on.
    func beginRelay() {
        guard let head, !isRelaying else { return }
        isRelaying = true
        began = .now()
        var body = pending
        pending = nil
        if let merge {
            beginMerged(merge, head: head, body: body ?? ByteBuffer())
        } else if rewriter != nil, head.status == 200 {
            beginRewritten(head, body ?? ByteBuffer())
        } else {
            // Part of a whole answer that is too large to be held: its length is announced.
            if !hasEnded, !isEventStream { usage = nil }
            if let whole = body, usage != nil { body = whole.withUnsafeReadableBytes { replaced($0) } }
            switch head.scanned.framing {
            case .chunked where !unframes: sinkFraming = .rawChunked
            case .length(let length) where usage == nil: sinkFraming = .length(length)
            case .none: sinkFraming = .none
            case .chunked, .untilClose, .length:
                sinkFraming = hasEnded ? .length(body?.readableBytes ?? 0) : .stream
            }
            sink.begin(status: head.status, lines: clientLines(head), framing: sinkFraming)
            if let body {
                if endpoint == .responses { body.withUnsafeReadableBytes { noteSequenceNumber($0) } }
                sink.write(body)
            }
            sink.flush()
        }
    }

    private func clientLines(_ head: UpstreamHead) -> ByteBuffer {
        var lines = head.clientLines(requestID: requestID)
        if let line = driver?.decisionLine { lines.writeString(line) }
        return lines
    }

    private func relay(_ bytes: UnsafeRawBufferPointer) {
        pieces &+= 1
        if merge != nil || rewriter != nil { return relayEvents(bytes) }
        if endpoint == .responses { noteSequenceNumber(bytes) }
        guard usage != nil else { return sink.relay(bytes) }
        sink.write(replaced(bytes))
        sink.flush()
    }

    private func noteSequenceNumber(_ bytes: UnsafeRawBufferPointer) {
        if let number = SequenceNumber.last(in: bytes) { lastSequenceNumber = number }
    }

    /// Whole events, or a whole answer, with the usage's count replaced.
    private func replaced(_ bytes: UnsafeRawBufferPointer) -> ByteBuffer {
        var output = ByteBuffer()
        output.reserveCapacity(bytes.count + 32)
        usage?.write(bytes, to: &output)
        return output
    }

    private func beginRewritten(_ head: UpstreamHead, _ body: ByteBuffer) {
        let lines = clientLines(head)
        if isEventStream {
            sinkFraming = .stream
            sink.begin(status: head.status, lines: lines, framing: sinkFraming)
            body.withUnsafeReadableBytes { relayEvents($0) }
        } else {
            let answer = rewriter?.rewritten(body) ?? body
            sinkFraming = .length(answer.readableBytes)
            sink.begin(status: head.status, lines: lines, framing: sinkFraming)
            sink.write(answer)
        }
        sink.flush()
    }

    private func beginMerged(_ merge: FirstTokenMerge, head: UpstreamHead, body: ByteBuffer) {
        if streamIsOpen {
            sinkFraming = .stream
            if head.status == 200 {
                body.withUnsafeReadableBytes { relayEvents($0) }
            } else {
                // The stream has begun: the decoder's error becomes its last event.
                sink.write(endpoint.errorEvents(engineBody: body))
            }
            return
        }
        let whole = head.status == 200 ? merge.wholeAnswer(decode: Array(body.readableBytesView)) : nil
        let answer = whole.map { ByteBuffer(bytes: $0) } ?? body
        sinkFraming = .length(answer.readableBytes)
        sink.begin(status: head.status, lines: clientLines(head), framing: sinkFraming)
        sink.write(answer)
    }

    private func relayEvents(_ bytes: UnsafeRawBufferPointer) {
        var output = ByteBuffer()
        let fits = events.feed(bytes) { data in
            if let merge { merge.writeEvent(data, to: &output) } else { rewriter?.writeEvent(data, to: &output) }
        }
        if output.readableBytes > 0 {
            sink.write(output)
            sink.flush()
        }
        if !fits, !isCancelled {
            cancel()
            driver?.decodeFailed(self, .tooLarge)
        }
    }

    /// Ends an answer whose engine failed after it began: a stream by an error event, anything else by a broken connection.
    func breakAnswer(_ error: DisaggError) {
        guard isEventStream || streamIsOpen else { return sink.abort() }
        // An announced length leaves no room for another event.
        if case .length = sinkFraming { return sink.abort() }
        let events = endpoint.errorEvents(error, lastSequenceNumber: lastSequenceNumber)
        if sinkFraming == .rawChunked {
            var chunk = ByteBuffer(string: String(events.readableBytes, radix: 16) + "\r\n")
            chunk.writeImmutableBuffer(events)
            chunk.writeStaticString("\r\n0\r\n\r\n")
            sink.write(chunk)
        } else {
            sink.write(events)
        }
        sink.end()
    }
}
