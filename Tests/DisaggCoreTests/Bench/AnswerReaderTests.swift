import Testing

@testable import DisaggCore

@Suite("Answers as a benchmark reads them")
struct AnswerReaderTests {
    private static func token(_ number: Int, finish: String = "null") -> String {
        "data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"text\":\" w\(number)\",\"finish_reason\":\(finish)}]}\n\n"
    }

    private static func usage(_ tokens: Int) -> String {
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9,\"completion_tokens\":\(tokens)}}\n\n"
    }

    private static let end = "data: [DONE]\n\n"

    private func demands(_ tokens: Int?, order: Bool = false, stream: Bool = true) -> AnswerReader.Demands {
        .init(isStream: stream, tokens: tokens, checks: true, checksOrder: order)
    }

    /// Reads pieces, one nanosecond apart.
    private func read(
        _ pieces: [String], _ demands: AnswerReader.Demands, status: Int = 200
    ) -> (reader: AnswerReader, fault: AnswerReader.Fault?, gaps: [Int]) {
        var reader = AnswerReader(demands)
        var gaps: [Int] = []
        reader.begin(status: status)
        for (index, piece) in pieces.enumerated() {
            Array(piece.utf8).withUnsafeBytes { reader.take($0, at: index + 1) { gaps.append($0) } }
        }
        let fault = reader.end()
        return (reader, fault, gaps)
    }

    @Test("a right stream is right wherever the network cuts it")
    func cuts() {
        let text =
            Self.token(0) + ": a comment\n\n" + Self.token(1) + Self.token(2, finish: #""length""#)
            + Self.usage(3) + "event: x\r\n" + Self.end
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            let pieces = [bytes[..<cut], bytes[cut...]].map { String(decoding: $0, as: UTF8.self) }
            let (reader, fault, gaps) = read(pieces, demands(3, order: true))
            #expect(fault == nil, "cut at \(cut): \(String(describing: fault))")
            #expect(reader.outputTokens == 3 && reader.usage?.prompt == 7 && gaps.count == 2)
        }
    }

    @Test("a lost token is found by its count, with the engine's count and without, and by its number")
    func lost() {
        let stream = [Self.token(0), Self.token(2, finish: #""length""#)]
        #expect(read(stream + [Self.usage(3), Self.end], demands(nil)).fault?.kind == .tokens)
        #expect(read(stream + [Self.end], demands(3)).fault?.kind == .tokens)
        #expect(read(stream + [Self.end], demands(2, order: true)).fault?.kind == .order)
        #expect(read(stream + [Self.end], demands(2)).fault == nil)
    }

    @Test(
        "a swapped and a doubled token are found by their numbers",
        arguments: [[0, 2, 1, 3], [0, 1, 1, 3], [1, 0, 2, 3]])
    func swapped(numbers: [Int]) {
        let stream = numbers.map { Self.token($0) } + [Self.token(4, finish: #""length""#), Self.end]
        #expect(read(stream, demands(5, order: true)).fault?.kind == .order)
        #expect(read(stream, demands(5)).fault == nil)
    }

    @Test("tokens without numbers cannot be in order")
    func unnumbered() {
        let word = "data: {\"choices\":[{\"text\":\" word\",\"finish_reason\":null}]}\n\n"
        #expect(read([word, Self.end], demands(nil, order: true)).fault?.kind == .order)
    }

    @Test("several tokens in one event count by their ids, and their numbers go on behind them")
    func merged() {
        let both = "data: {\"choices\":[{\"text\":\" w0 w1\",\"token_ids\":[5, 6],\"finish_reason\":null}]}\n\n"
        let three =
            "data: {\"choices\":[{\"text\":\" w2 w3 w4\",\"token_ids\":[1,2,3],\"finish_reason\":\"length\"}]}\n\n"
        #expect(read([both + three + Self.end], demands(5, order: true)).fault == nil)
        #expect(read([both + three + Self.end], demands(4, order: true)).fault?.kind == .tokens)
    }

    @Test("events without tokens: a chat's opening, a reason alone, counts, half characters", arguments: [true, false])
    func tokenless(isReasonAlone: Bool) {
        let open = #"data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"# + "\n\n"
        let word = #"data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"# + "\n\n"
        let half = #"data: {"choices":[{"delta":{"content":""},"finish_reason":null}]}"# + "\n\n"
        let last =
            isReasonAlone
            ? #"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#
            : #"data: {"choices":[{"delta":{"content":"z"},"finish_reason":"stop"}]}"#
        let count = isReasonAlone ? 2 : 3
        let (reader, fault, gaps) = read(
            [open, word, half, last + "\n\n", Self.usage(count), Self.end], demands(count))
        #expect(fault == nil && reader.countedTokens == count && reader.firstTokenAt == 2)
        #expect(gaps == Array(repeating: 1, count: count - 1))
    }

    @Test(
        "what breaks a stream has its kind",
        arguments: [
            ([token(0)], .truncated), ([token(0), "data: {\"choices\":\n\n"], .malformed),
            ([token(0), "data: {\"error\":{\"message\":\"gone\"}}\n\n", end], .streamError),
            ([token(0), end, token(1), end], .malformed), (["{\"choices\":[]}"], .malformed), ([], .malformed),
            ([token(0), end], .tokens), (["data: 5\n\n", end], .malformed),
        ] as [([String], BenchFailure)])
    func broken(pieces: [String], kind: BenchFailure) {
        #expect(read(pieces, demands(nil)).fault?.kind == kind)
    }

    @Test("an error's message is shown, in one line of bounded length")
    func messages() {
        let fault = read([#"{"error":{"message":"no\nsuch model"}}"#], demands(nil), status: 404).fault
        #expect(fault == AnswerReader.Fault(kind: .status(404), detail: "no such model"))
        let long = read([String(repeating: "é", count: 5000)], demands(nil), status: 500).fault
        #expect((long?.detail.count ?? 0) <= 201)
    }

    @Test("an answer in one piece is judged by the engine's count")
    func whole() {
        let body = #"{"choices":[{"text":"ab","finish_reason":"length"}],"usage":{"completion_tokens":4}}"#
        #expect(read([body], demands(4, stream: false)).fault == nil)
        #expect(read([body], demands(5, stream: false)).fault?.kind == .tokens)
        #expect(read(["[]"], demands(nil, stream: false)).fault?.kind == .malformed)
    }

    @Test("captured streams of vLLM have their tokens", arguments: ["09-completion-stream", "12-chat-stream-usage"])
    func captured(name: String) throws {
        let file = try #require(ProcFile.text("\(LaunchScene.root)/Tests/Fixtures/vllm-0.24.0/\(name).http"))
        let start = try #require(file.firstRange(of: "data:"))
        let (reader, fault, _) = read([String(file[start.lowerBound...])], demands(3))
        #expect(fault == nil && reader.countedTokens == 3)
    }
}

@Suite("Answers as a benchmark reads them, random input")
struct AnswerReaderFuzzTests {
    @Test("no input stops the reader, and cuts change nothing")
    func random() {
        var random = SeededGenerator(seed: 11)
        let sample = Array(
            """
            data: {"choices":[{"delta":{"content":"w1"},"token_ids":[1,2],"finish_reason":"stop"}],"usage":{"completion_tokens":2}}

            data: [DONE]


            """.utf8)
        for _ in 0..<Fuzzing.iterations(2000) {
            let bytes = Fuzzing.mutated(sample, using: &random)
            func read(_ cuts: [Int]) -> (AnswerReader.Fault?, Int) {
                var reader = AnswerReader(.init(tokens: 2, checks: true, checksOrder: true))
                reader.begin(status: 200)
                var start = 0
                for cut in cuts.sorted() + [bytes.count] {
                    bytes[start..<cut].withUnsafeBytes { reader.take($0, at: 1) { _ in } }
                    start = cut
                }
                return (reader.end(), reader.countedTokens)
            }
            let cuts = (0..<3).map { _ in Int(random.next() % UInt64(bytes.count + 1)) }
            let (once, again) = (read([]), read(cuts))
            #expect(once.0 == again.0 && once.1 == again.1, "\(String(decoding: bytes, as: UTF8.self)) at \(cuts)")
        }
    }
}
