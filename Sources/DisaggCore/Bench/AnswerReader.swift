/// Follows one answer: which tokens it brought and when, how it ended. Times are nanoseconds of one clock.
struct AnswerReader {
    /// What is wrong with an answer.
    struct Fault: Error, Equatable {
        var kind: BenchFailure
        /// For people; never the prompt.
        var detail: String
    }

    /// What an answer must fulfil beyond being complete.
    struct Demands {
        var isStream = true
        /// Tokens that were asked for, where the engine may not stop before.
        var tokens: Int?
        var checks = false
        var checksOrder = false
    }

    /// Bytes kept of an answer that is no stream.
    private static let maximumBodyBytes = 16 << 20

    let demands: Demands
    private(set) var status = 0
    /// When the first and the last event with a token came.
    private(set) var firstTokenAt: Int?
    private(set) var lastTokenAt = 0
    private(set) var countedTokens = 0
    private(set) var usage: AnswerEvent.Usage?
    private(set) var body: [UInt8] = []
    private var lines = EventLines()
    private var events = 0
    private var isFinished = false
    private var isEnded = false
    private var lastNumber: Int?
    private var fault: Fault?

    init(_ demands: Demands) { self.demands = demands }

    /// The engine's own count where it told one.
    var outputTokens: Int { usage?.completion ?? countedTokens }

    mutating func begin(status: Int) { self.status = status }

    /// Takes bytes of the body.
    ///
    /// - Parameter gap: called with the time since the last event with a token, for each but the first.
    @inline(__always)
    mutating func take(_ bytes: UnsafeRawBufferPointer, at now: Int, gap: (Int) -> Void) {
        guard fault == nil else { return }
        guard demands.isStream, status == 200 else {
            if body.count + bytes.count <= Self.maximumBodyBytes { body.append(contentsOf: bytes) }
            return
        }
        var lines = lines
        self.lines = EventLines()
        let isWhole = lines.feed(bytes) { data in
            note(data, at: now, gap: gap)
            return fault == nil
        }
        self.lines = lines
        if !isWhole, fault == nil { fault = Fault(kind: .malformed, detail: "an event larger than 16 MiB") }
    }

    private mutating func note(_ data: UnsafeRawBufferPointer, at now: Int, gap: (Int) -> Void) {
        guard let event = AnswerEvent.read(data) else {
            fault = Fault(kind: .malformed, detail: "event \(events + 1) of a stream is no JSON object")
            return
        }
        events += 1
        if isEnded { fault = Fault(kind: .malformed, detail: "an event behind [DONE]") }
        isEnded = event.isEnd
        if event.isError { fault = Fault(kind: .streamError, detail: Self.message(Array(data))) }
        isFinished = isFinished || event.isFinished
        if let usage = event.usage { self.usage = usage }
        guard event.tokens > 0 else { return }
        if firstTokenAt == nil { firstTokenAt = now } else { gap(now - lastTokenAt) }
        lastTokenAt = now
        countedTokens += event.tokens
        if demands.checksOrder { follow(event) }
    }

    private mutating func follow(_ event: AnswerEvent) {
        guard let number = event.number else {
            fault = Fault(
                kind: .order,
                detail: "token \(countedTokens) has no number; --check-order needs an engine that numbers its tokens, "
                    + "for example disagg-launch simulate --number-tokens")
            return
        }
        // Engines that merge tokens into one event show the last one's number.
        let expected = lastNumber.map { $0 + event.tokens }
        if let expected, number != expected {
            fault = Fault(kind: .order, detail: "token \(number) came where \(expected) was due")
        }
        lastNumber = number
    }

    /// What is wrong with the answer now that it is complete; nil where it is right.
    mutating func end() -> Fault? {
        if let fault { return fault }
        guard status == 200 else {
            return Fault(kind: .status(status), detail: body.isEmpty ? "no body" : Self.message(body))
        }
        if demands.isStream {
            guard events > 0 else { return Fault(kind: .malformed, detail: "the answer is no event stream") }
            guard isEnded else { return Fault(kind: .truncated, detail: "the stream ended without [DONE]") }
        } else if let wrong = readWhole() {
            return wrong
        }
        return demands.checks ? checkTokens() : nil
    }

    private mutating func readWhole() -> Fault? {
        guard let answer = body.withUnsafeBytes({ AnswerEvent.read($0) }), !answer.isEnd else {
            return Fault(kind: .malformed, detail: "the answer is no JSON object")
        }
        if answer.isError { return Fault(kind: .malformed, detail: "an error with status 200: \(Self.message(body))") }
        usage = answer.usage
        isFinished = answer.isFinished
        return nil
    }

    private func checkTokens() -> Fault? {
        func wrong(_ detail: String) -> Fault { Fault(kind: .tokens, detail: detail) }
        if !isFinished { return wrong("no finish_reason in \(countedTokens) tokens") }
        if let told = usage?.completion, demands.isStream, told != countedTokens {
            return wrong("\(countedTokens) tokens arrived, the engine counted \(told)")
        }
        if let wanted = demands.tokens, outputTokens != wanted {
            return wrong("\(outputTokens) tokens, \(wanted) were asked for")
        }
        return nil
    }

    /// The message of an error in one of the usual shapes, else the beginning of the text.
    static func message(_ body: [UInt8]) -> String {
        var text: String?
        if let view = try? JSONView(parsing: body) {
            text = view["error"]?["message"]?.string ?? view["message"]?.string ?? view["error"]?.string
        }
        let whole = text ?? String(decoding: body.prefix(400), as: UTF8.self)
        let line = String(whole.map { $0.isNewline || $0 == "\t" ? " " : $0 })
        return line.count > 200 ? "\(line.prefix(200))…" : line
    }
}
