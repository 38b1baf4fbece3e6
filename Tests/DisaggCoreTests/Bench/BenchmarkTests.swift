import Glibc
import Testing

@testable import DisaggCore

/// Whole runs: against the simulated engine, and against servers that misbehave.
@Suite("A benchmark's run", .timeLimit(.minutes(2)))
struct BenchmarkTests {
    private func measure(
        port: Int, _ change: (inout BenchSettings) -> Void = { _ in }
    ) async throws -> BenchMeasurement {
        var settings = BenchSettings(target: try BenchTarget("http://127.0.0.1:\(port)"))
        settings.requests = 20
        settings.concurrency = 4
        settings.inputTokens = 30
        settings.outputTokens = 12
        settings.checks = true
        settings.promptForm = .words
        change(&settings)
        return try await Benchmark(settings).run()
    }

    private func engine(numbersTokens: Bool = false) -> SimulatedEngineConfiguration {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.numbersTokens = numbersTokens
        return configuration
    }

    @Test(
        "requests, tokens and prompts are counted exactly", arguments: BenchSettings.Endpoint.allCases, [true, false])
    func exactCounts(endpoint: BenchSettings.Endpoint, isStream: Bool) async throws {
        try await withEngine(engine(numbersTokens: true)) { engine, _ in
            let measurement = try await measure(port: try #require(engine.ports?.http)) {
                $0.endpoint = endpoint
                $0.isStream = isStream
                $0.warmup = 5
                $0.checksOrder = isStream
            }
            let tally = measurement.tally
            #expect(tally.failures.isEmpty, "\(tally.examples)")
            #expect(tally.succeeded == 20 && tally.started == 20 && tally.outputTokens == 240)
            // A chat's template adds tokens of its own.
            #expect(endpoint == .chat ? tally.promptTokens > 600 : tally.promptTokens == 600)
            #expect(tally.e2e.count == 20 && tally.ttft.count == (isStream ? 20 : 0))
            #expect(tally.itl.count == (isStream ? 220 : 0))
            #expect(tally.maximumOpen == 4 && tally.connections <= 5)
            #expect(try await engine.receivedRequests().total == 25)
            #expect(measurement.model == engine.configuration.model && measurement.exitStatus == 0)
            // Both reports can be made, and the one for programs is JSON.
            #expect(measurement.text.contains("Successful requests:                     20\n"))
            let json = try JSONView(parsing: measurement.json)
            #expect(json["output_tokens"]?.int == 240 && json["e2e_ms"]?["count"]?.int == 20)
        }
    }

    @Test("an open loop sends all arrivals, more at once than a closed one would")
    func openLoop() async throws {
        try await withEngine(engine()) { engine, _ in
            let measurement = try await measure(port: try #require(engine.ports?.http)) {
                $0.rate = 2000
                $0.concurrency = nil
                $0.requests = 50
            }
            #expect(measurement.tally.succeeded == 50 && measurement.tally.lag.count == 50)
        }
    }

    @Test("without keep-alive every request has its own connection")
    func freshConnections() async throws {
        try await withEngine(engine()) { engine, _ in
            let measurement = try await measure(port: try #require(engine.ports?.http)) { $0.keepsAlive = false }
            #expect(measurement.tally.succeeded == 20 && measurement.tally.connections == 21)
        }
    }

    @Test("objectives divide goodput from throughput")
    func goodput() async throws {
        try await withEngine(engine()) { engine, _ in
            let port = try #require(engine.ports?.http)
            let all = try await measure(port: port) {
                $0.objectives = (try? ServiceObjectives("ttft=1000s")) ?? .init()
            }
            #expect(all.tally.good == 20)
            let none = try await measure(port: port) {
                $0.objectives = (try? ServiceObjectives("e2e=0.001us")) ?? .init()
            }
            #expect(none.tally.good == 0 && none.tally.succeeded == 20)
        }
    }

    // MARK: Servers that misbehave

    private static let head = ScriptedReply.streamHead
    private static func event(_ json: String) -> String { ScriptedReply.chunk("data: \(json)\n\n") }
    private static func token(_ number: Int, last: Bool = false) -> String {
        event(#"{"choices":[{"index":0,"text":" w\#(number)","finish_reason":\#(last ? #""length""# : "null")}]}"#)
    }
    private static let done = event("[DONE]") + "0\r\n\r\n"

    /// Runs against a script; the model is named, so the first request is a generation.
    private func measure(
        _ change: (inout BenchSettings) -> Void = { _ in }, script: @escaping ScriptedServer.Script
    ) async throws -> BenchTally {
        let server = try await ScriptedServer(script: script)
        let measurement = try await measure(port: server.port) {
            $0.model = "m"
            $0.requests = 6
            $0.concurrency = 1
            $0.outputTokens = 2
            change(&$0)
        }
        await server.shutdown()
        return measurement.tally
    }

    @Test(
        "each failure is counted by its kind",
        arguments: [
            (.sendAndClose([head, token(0)]), .truncated), (.sendAndReset([head, token(0)]), .truncated),
            (.send([head, token(0), token(1, last: true), "0\r\n\r\n"]), .truncated),
            (.send([head + "zz\r\n"]), .malformed), (.send(["SSH-2.0-x\r\n\r\n"]), .malformed),
            (.send([head, event("{\"choices\""), done]), .malformed), (.sendAndClose([]), .truncated),
            (.send(ScriptedReply.json("{\"error\":{\"message\":\"x\"}}", status: "500 No")), .status(500)),
            (.send(ScriptedReply.json("{}", status: "429 Slow down")), .status(429)),
            (.send([head, token(0), event(#"{"error":{"message":"engine died"}}"#), done]), .streamError),
            (.send([head, token(0, last: true), done]), .tokens),
            (.send([head, token(1), token(0, last: true), done]), .order), (.send([head, token(0)]), .timeout),
        ] as [(ScriptedReply, BenchFailure)])
    func failures(reply: ScriptedReply, kind: BenchFailure) async throws {
        let change = { (settings: inout BenchSettings) in
            settings.checksOrder = true
            if kind == .timeout { settings.timeout = .milliseconds(50) }
        }
        let tally = try await measure(change) { _, _, _ in reply }
        #expect(tally.failures == [kind: 6], "\(tally.examples)")
        #expect(tally.succeeded == 0)
    }

    @Test("good and bad answers are told apart, and the run goes on")
    func mixture() async throws {
        let good = ScriptedReply.send([Self.head, Self.token(0), Self.token(1, last: true), Self.done])
        let tally = try await measure { connection, request, _ in
            switch (connection, request) {
            case (0, 2): .sendAndClose([Self.head, Self.token(0)])
            case (1, 1): .send(ScriptedReply.json("{}", status: "503 No"))
            default: good
            }
        }
        #expect(tally.succeeded == 4 && tally.outputTokens == 8)
        #expect(tally.failures == [.truncated: 1, .status(503): 1])
    }

    @Test("a connection that was closed while idle is no failure")
    func staleConnection() async throws {
        let tally = try await measure { connection, request, _ in
            request == 1
                ? .sendAndClose([])
                : .send([Self.head, Self.token(0), Self.token(1, last: true), Self.done])
        }
        #expect(tally.succeeded == 6 && tally.failures.isEmpty && tally.retries == 5)
    }

    @Test("nobody listens: the error says where, and the status is 1")
    func refused() async throws {
        let server = try await ScriptedServer { _, _, _ in .send([]) }
        await server.shutdown()
        let error = await #expect(throws: CommandError.self) { try await measure(port: server.port) }
        #expect(error?.exitStatus == 1 && error?.description.contains("127.0.0.1:\(server.port)") == true)
        let measurement = try await measure(port: server.port) { $0.model = "m" }
        #expect(measurement.tally.failures == [.connect: 20] && measurement.exitStatus == 1)
    }

    @Test("the API key is sent and never shown, even where the server repeats it")
    func key() async throws {
        let server = try await ScriptedServer { _, _, text in
            .send(
                ScriptedReply.json(
                    "{\"error\":{\"message\":\"bad key \(text.contains("Bearer sesame") ? "sesame" : "?")\"}}",
                    status: "401 No"))
        }
        let error = await #expect(throws: CommandError.self) {
            try await measure(port: server.port) { $0.apiKey = "sesame" }
        }
        #expect(error?.description.contains("bad key ***") == true)
        let measurement = try await measure(port: server.port) {
            $0.apiKey = "sesame"
            $0.model = "m"
        }
        await server.shutdown()
        #expect(measurement.tally.examples[.status(401)] == "bad key ***")
        #expect(!measurement.text.contains("sesame") && !measurement.json.contains("sesame"))
    }

    @Test("a stop lets the answers under way end, a second one cuts them off")
    func stopping() async throws {
        let server = try await ScriptedServer { _, _, _ in .send([Self.head, Self.token(0)]) }
        var settings = BenchSettings(target: try BenchTarget("http://127.0.0.1:\(server.port)"))
        settings.model = "m"
        settings.promptForm = .words
        settings.concurrency = 3
        settings.requests = 100
        let benchmark = try Benchmark(settings)
        async let result = benchmark.run()
        try await eventually { server.log.requests.count == 3 }
        benchmark.control.stop()
        benchmark.control.stop()
        let tally = try await result.tally
        await server.shutdown()
        #expect(tally.cutOff == 3 && tally.started == 3 && tally.succeeded == 0)
    }

    @Test("this process's own CPU time and memory can be measured")
    func processes() async throws {
        try await withEngine(engine()) { engine, _ in
            let measurement = try await measure(port: try #require(engine.ports?.http)) { $0.processes = [getpid()] }
            let process = try #require(measurement.process)
            #expect(process.cpuSeconds > 0 && process.peakRSSKiB > 1000)
            #expect((measurement.cpuMicrosecondsPerToken ?? 0) > 0)
        }
    }
}
