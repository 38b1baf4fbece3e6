import NIOCore
import Testing

@testable import DisaggCore

@Suite("Data sets of a benchmark")
struct BenchDatasetTests {
    private func trace(_ text: String) throws -> [BenchItem] { try TraceReader.read(Array(text.utf8), "t") }

    @Test("Mooncake's lines become requests by arrival, with their blocks")
    func mooncake() throws {
        let items = try trace(
            """
            {"timestamp": 27482, "input_length": 1300, "output_length": 52, "hash_ids": [46, 47, 2353]}
            {"timestamp": 27000, "input_length": 6, "output_length": 0, "hash_ids": []}

            """)
        #expect(
            items == [
                BenchItem(.tokens(6), outputTokens: 1, arrival: 0),
                BenchItem(.blocks([46, 47, 2353], tokens: 1300), outputTokens: 52, arrival: 482_000_000),
            ])
    }

    @Test("Azure's table becomes requests by arrival")
    func azure() throws {
        let items = try trace(
            "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n"
                + "2023-11-16 18:15:50.9951690,396,109\r\n")
        #expect(items.map(\.outputTokens) == [44, 109] && items[0].arrival == 0)
        #expect(abs((items[1].arrival ?? 0) - 4_314_579_000) <= 1000)
        // The newer release writes a zone, and days apart are days apart.
        let zoned = try trace(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-28 23:59:59+00:00,1,2\n2024-03-01T00:00:00Z,1,2")
        #expect(zoned[1].arrival == (86_400 + 1) * 1_000_000_000)
    }

    @Test(
        "a line that cannot be read is named",
        arguments: [
            ("", "t is empty"), ("{\"timestamp\":1}", "t:1: expected timestamp"),
            ("{\"timestamp\":1,\"input_length\":2,\"output_length\":3}\n{x", "t:2: no JSON"),
            ("a,b\n1,2", "t:1: neither"), ("TIMESTAMP,ContextTokens,GeneratedTokens\nx,1,2", "t:2: expected a time"),
            ("TIMESTAMP,ContextTokens,GeneratedTokens", "t has no request"),
            ("{\"timestamp\":-1,\"input_length\":2,\"output_length\":3}", "t:1"),
            ("{\"timestamp\":1,\"input_length\":99999999999,\"output_length\":3}", "t:1"),
        ])
    func broken(text: String, expected: String) throws {
        let error = #expect(throws: CommandError.self) { try trace(text) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }

    @Test("conversations give their first turn, and the length of the second")
    func shareGPT() throws {
        let text = """
            [{"id": "1", "conversations": [{"from": "human", "value": "Tell me a story about rivers."},
              {"from": "gpt", "value": "\(String(repeating: "word ", count: 40))"}]},
             {"id": "2", "conversations": [{"from": "human", "value": "alone"}]}, {"id": "3"}, 4]
            """
        let items = try ShareGPTReader.read(Array(text.utf8), "s")
        let answer = String(repeating: "word ", count: 40)
        #expect(items == [BenchItem(.text("Tell me a story about rivers."), outputTokens: 50, answer: answer)])
        for bad in ["", "{}", "[]", "[1]"] {
            #expect(throws: CommandError.self) { try ShareGPTReader.read(Array(bad.utf8), "s") }
        }
    }

    private func prompts(
        _ items: [BenchItem], _ vocabulary: PromptVocabulary = .unchecked,
        _ change: (inout BenchSettings) -> Void = { _ in }
    ) throws -> [JSONView] {
        var settings = BenchSettings(target: try BenchTarget("http://h:1"))
        settings.dataset = BenchDataset(kind: items.isEmpty ? .random : .trace, items: items, name: "x")
        change(&settings)
        var writer = BenchRequestWriter(settings: settings, model: "m", vocabulary: vocabulary)
        return try (0..<max(3, items.count)).map { _ in
            let text = String(buffer: writer.next().request)
            let end = try #require(text.firstRange(of: "\r\n\r\n"))
            return try JSONView(parsing: String(text[end.upperBound...]))
        }
    }

    @Test("equal blocks of a trace are equal text, and lengths are those of the trace")
    func blocks() throws {
        let bodies = try prompts([
            BenchItem(.blocks([7, 8], tokens: 700), outputTokens: 3),
            BenchItem(.blocks([7, 9], tokens: 600), outputTokens: 4),
            BenchItem(.blocks([10], tokens: 5), outputTokens: 5),
        ])
        let words = bodies.map { ($0["prompt"]?.string ?? "").split(separator: " ") }
        #expect(words.map(\.count) == [700, 600, 5] && bodies.map { $0["max_tokens"]?.int } == [3, 4, 5])
        #expect(words[0].prefix(512) == words[1].prefix(512))
        #expect(words[0][512..<600] != words[1][512..<600])
    }

    @Test("prompts of ids have as many ids as wanted, all ordinary ones")
    func ids() throws {
        for body in try prompts(
            [], .ids,
            {
                $0.inputTokens = 40
                $0.sharedPrefixTokens = 10
            })
        {
            let ids = (body["prompt"]?.elements ?? []).compactMap(\.int)
            #expect(ids.count == 40 && ids.allSatisfy { (1000..<17_384).contains($0) })
        }
    }

    @Test("what every prompt has beside its words is taken off")
    func overhead() throws {
        let vocabulary = PromptVocabulary(words: [Array(" a".utf8)], overhead: 3, isExact: true)
        for body in try prompts([], vocabulary, { $0.inputTokens = 10 }) {
            #expect(body["prompt"]?.string == " a a a a a a a")
        }
    }

    @Test("random lengths lie within their range, and reach its ends")
    func ranges() throws {
        var settings = BenchSettings(target: try BenchTarget("http://h:1"))
        settings.inputTokens = 100
        settings.outputTokens = 10
        settings.rangeRatio = 0.5
        var workload = BenchWorkload(settings)
        let items = (0..<2000).map { _ in workload.draw() }
        #expect(Set(items.map(\.outputTokens)) == Set(5...15))
        let lengths = items.compactMap { item in if case .tokens(let count) = item.prompt { count } else { nil } }
        #expect(lengths.count == 2000 && lengths.min() == 50 && lengths.max() == 150)
    }

    // MARK: Lengths by the server's count

    /// Plays a server that counts a word as so many tokens.
    private func calibrate(bos: Int, _ tokens: (Substring) -> Int) -> (PromptVocabulary, questions: Int) {
        var calibration = PromptCalibration(fallback: .ids)
        var step = calibration.next
        var questions = 0
        while case .count(let text) = step {
            questions += 1
            step = calibration.take(bos + text.split(separator: " ").reduce(0) { $0 + tokens($1) })
        }
        guard case .done(let vocabulary) = step else { return (.unchecked, questions) }
        return (vocabulary, questions)
    }

    @Test("a server whose words are one token each is asked twice; its extra tokens are found")
    func exactWords() {
        let (vocabulary, questions) = calibrate(bos: 1) { _ in 1 }
        #expect(vocabulary == PromptVocabulary(words: PromptVocabulary.commonWords, overhead: 1, isExact: true))
        #expect(questions == 2)
    }

    @Test("words that are more than one token are left out; with too few left, ids are used")
    func longWords() {
        let (vocabulary, _) = calibrate(bos: 0) { $0.count > 4 ? 2 : 1 }
        #expect(vocabulary.isExact && vocabulary.words.allSatisfy { $0.count <= 5 } && vocabulary.words.count > 20)
        #expect(calibrate(bos: 0) { $0 == "the" ? 1 : 2 }.0 == .ids)
    }

    @Test("a server that does not count gets ids")
    func noTokenize() {
        var calibration = PromptCalibration(fallback: .ids)
        #expect(calibration.take(nil) == .done(.ids))
        #expect(calibration.take(3) == .done(.ids))
    }

    @Test(
        "against the simulated engine, prompts have exactly the wanted tokens",
        arguments: BenchSettings.Endpoint.allCases)
    func exactInLife(endpoint: BenchSettings.Endpoint) async throws {
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, _ in
            var settings = BenchSettings(
                target: try BenchTarget("http://127.0.0.1:\(try #require(engine.ports?.http))"))
            settings.endpoint = endpoint
            settings.requests = 5
            settings.inputTokens = 77
            settings.outputTokens = 4
            for form in endpoint == .chat ? [.auto] : [PromptForm.auto, .ids] {
                settings.promptForm = form
                let measurement = try await Benchmark(settings).run()
                #expect(measurement.tally.promptTokens == 385 && measurement.hasExactPrompts)
                #expect(measurement.tally.wantedPromptTokens == 385 && measurement.tally.wrongPrompts == 0)
            }
            // A template's tokens are not in the words that nobody has asked about.
            settings.promptForm = .words
            let unchecked = try await Benchmark(settings).run()
            #expect(unchecked.tally.wrongPrompts == (endpoint == .chat ? 5 : 0))
            #expect(unchecked.warnings.contains { $0.hasPrefix("5 prompts have another") } == (endpoint == .chat))
        }
    }

    @Test("a conversation's answer is as long as the server's /tokenize says, else an estimate that is reported")
    func countedAnswers() async throws {
        let answers = ["It is a small river between two hills.", "Yes, and 1234567890 more of them, somewhere."]
        let items = answers.map { BenchItem(.text("Tell me about it, please."), outputTokens: 1, answer: $0) }
        let counts = answers.map { SimulatedTokenizer.shared.tokenize($0).count }
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, _ in
            var settings = BenchSettings(
                target: try BenchTarget("http://127.0.0.1:\(try #require(engine.ports?.http))"))
            settings.dataset = BenchDataset(kind: .sharegpt, items: items, name: "s")
            settings.requests = 4
            let counted = try await Benchmark(settings).run()
            #expect(counted.tally.outputTokens == 2 * counts.reduce(0, +) && counted.countedAnswers == 2)
            #expect(!counted.hasEstimatedAnswers && !counted.warnings.contains { $0.hasPrefix("answers' lengths") })
            settings.promptForm = .words
            let estimated = try await Benchmark(settings).run()
            #expect(estimated.tally.outputTokens == 4 && estimated.countedAnswers == 0)
            #expect(estimated.warnings.contains { $0.hasPrefix("answers' lengths are estimated") })
        }
    }

    @Test("a trace is followed to its end, at its own times")
    func followed() async throws {
        let items = [0, 20, 40].map { BenchItem(.tokens(9), outputTokens: 3, arrival: $0 * 1_000_000) }
        var settings = BenchSettings(target: try BenchTarget("http://h:1"))
        settings.concurrency = nil
        settings.dataset = BenchDataset(kind: .trace, items: items, name: "t")
        settings.traceSpeed = 2
        try settings.validate()
        var load = BenchLoad.measured(settings, now: 1000)
        #expect(load.next(open: 0, now: 1000) == 1000)
        #expect(load.next(open: 1, now: 1000) == nil && load.wakeUp == 10_001_000)
        #expect(load.next(open: 1, now: 90_000_000) == 10_001_000)
        #expect(load.next(open: 1, now: 90_000_000) == 20_001_000)
        #expect(load.isExhausted)
    }

    @Test("a ramp goes from one rate to the other", arguments: [true, false])
    func ramp(byTime: Bool) throws {
        var settings = BenchSettings(target: try BenchTarget("http://h:1"))
        settings.concurrency = nil
        settings.rate = 10
        settings.rampTo = 100
        settings.burstiness = .infinity
        if byTime { settings.duration = .seconds(100) } else { settings.requests = 5000 }
        var load = BenchLoad.measured(settings, now: 0)
        var due: [Int] = []
        while let next = load.next(open: 0, now: .max) { due.append(next) }
        // Evenly more, so half way there it is the mean; 55 a second for 100 s.
        let gaps = zip(due.dropFirst(), due).map { Double($0 - $1) / 1e9 }
        #expect(abs((gaps.first ?? 0) - 0.1) < 0.01 && abs((gaps.last ?? 0) - 0.01) < 0.001)
        if byTime { #expect(abs(due.count - 5500) < 60) } else { #expect(due.count == 5000) }
    }
}
