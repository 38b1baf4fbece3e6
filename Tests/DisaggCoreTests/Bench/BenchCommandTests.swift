import Glibc
import Testing

@testable import DisaggCore

@Suite("disagg-launch bench", .serialized, .enabled(if: LaunchScene.launcher != nil, "the executable is built"))
struct BenchCommandTests {
    private func run(_ scene: LaunchScene, _ arguments: [String], environment: [String: String] = [:]) async throws -> (
        exit: ProcessExit, output: String
    ) {
        let command = EngineCommand(
            name: "bench", arguments: [try #require(LaunchScene.launcher), "bench"] + arguments,
            environment: environment.merging(["FAKE_SCENE": scene.mark]) { $1 },
            logFile: scene.directory + "/bench.log")
        unlink(command.logFile)
        let exit = try await ChildProcess.run(command, mark: scene.mark) { _ in }
        return (exit, ProcFile.text(command.logFile) ?? "")
    }

    @Test(
        "bad input ends with status 2 and one clear error",
        arguments: [
            ([], "Missing expected argument"), (["https://h:1"], "TLS"), (["http://h:x"], "a port is"),
            (["http://h:1", "--concurrency", "0"], "--concurrency: expected 1..."),
            (["http://h:1", "--rate", "-1"], "--rate"), (["http://h:1", "--rate", "nan"], "--rate"),
            (["http://h:1", "--concurrency", "2", "--burstiness", "2"], "--burstiness"),
            (["http://h:1", "--duration", "0"], "--duration"),
            (["http://h:1", "--timeout", "inf"], "--timeout"), (["http://h:1", "--slo", "itl=3"], "no objective"),
            (["http://h:1", "--pid", "x"], "no process id"), (["http://h:1", "--pid", "999999999"], "no process"),
            (["http://h:1", "--endpoint", "responses"], "completions or chat"),
            (["http://h:1", "--format", "xml"], "text or json"),
            (["http://h:1", "--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
            (["http://h:1", "--shared-prefix-tokens", "5", "--input-tokens", "4"], "--shared-prefix-tokens"),
            (["http://h:1", "--check-order", "--no-stream"], "--check-order"),
            (["http://h:1", "--output", "/no/such/directory/x"], "/no/such/directory/x"),
            (["http://h:1", "--html", "/no/such/directory/y"], "/no/such/directory/y"),
            (["http://h:1", "--search"], "--search needs --slo"),
            (["http://h:1", "--search", "--slo", "ttft=1s", "--concurrency", "2"], "leave --concurrency"),
            (["http://h:1", "--attainment", "2"], "--attainment"),
            (["http://h:1", "--concurrency", "2", "--ramp-to", "5"], "--ramp-to"),
            (["http://h:1", "--dataset", "trace"], "trace-file"),
            (["http://h:1", "--dataset", "trace-file"], "--dataset-path"),
            (["http://h:1", "--dataset", "trace-file", "--dataset-path", "/no/file"], "/no/file"),
            (["http://h:1", "--range-ratio", "1"], "--range-ratio"),
            (["http://h:1", "--trace-speed", "0"], "--trace-speed"),
            (["http://h:1", "--prompt-form", "ids", "--endpoint", "chat"], "--prompt-form"),
            (["--compare", "a.json"], "two files"), (["http://h:1", "--compare", "a", "b"], "two files"),
            (["--compare", "/no/a", "/no/b"], "/no/a"),
        ])
    func badInput(arguments: [String], expected: String) async throws {
        let result = try await run(LaunchScene(), arguments)
        #expect(result.exit == .status(2), "\(result.output)")
        #expect(result.output.contains(expected), "\(result.output)")
    }

    @Test("nothing answers: status 1")
    func nothingAnswers() async throws {
        let port = try #require(LaunchScene.freePorts(1).first)
        let result = try await run(LaunchScene(), ["http://127.0.0.1:\(port)"])
        #expect(result.exit == .status(1))
        #expect(result.output.contains("is the server running?"), "\(result.output)")
    }

    @Test("a run writes its report, with no key in it")
    func report() async throws {
        let scene = try LaunchScene()
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, _ in
            let port = try #require(engine.ports?.http)
            let file = scene.directory + "/report.json"
            let result = try await run(
                scene,
                [
                    "http://127.0.0.1:\(port)", "--requests", "10", "--concurrency", "2", "--output-tokens", "5",
                    "--check", "--format", "json", "--output", file, "--api-key-env", "BENCH_KEY", "--pid",
                    "\(getpid())",
                ], environment: ["BENCH_KEY": "sesame"])
            #expect(result.exit == .status(0), "\(result.output)")
            let text = ProcFile.text(file) ?? ""
            let json = try JSONView(parsing: text)
            #expect(json["requests"]?["succeeded"]?.int == 10 && json["output_tokens"]?.int == 50)
            #expect((json["process"]?["cpu_us_per_token"]?.double ?? 0) > 0)
            #expect(!(text + result.output).contains("sesame"))
        }
    }

    @Test("two runs are compared, and a page is written that loads nothing")
    func compare() async throws {
        let scene = try LaunchScene()
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, _ in
            let port = try #require(engine.ports?.http)
            for (name, tokens) in [("a", "5"), ("b", "9")] {
                let result = try await run(
                    scene,
                    [
                        "http://127.0.0.1:\(port)", "--requests", "10", "--concurrency", "2", "--output-tokens", tokens,
                        "--input-tokens", "50", "--format", "json", "--output", "\(scene.directory)/\(name).json",
                        "--html",
                        "\(scene.directory)/\(name).html",
                    ])
                #expect(result.exit == .status(0), "\(result.output)")
            }
            let result = try await run(
                scene, ["--compare", scene.directory + "/a.json", scene.directory + "/b.json"])
            #expect(result.exit == .status(0))
            let lines = result.output.split(separator: "\n")
            #expect(lines.first?.contains("a.json") == true && lines.first?.contains("b.json") == true)
            #expect(lines.contains { $0.hasPrefix("TTFT p99, ms") })
            #expect(lines.contains("note      the runs differ in output_tokens: 5 and 9"))
            let page = ProcFile.text(scene.directory + "/a.html") ?? ""
            #expect(page.hasPrefix("<!doctype html>") && page.contains("<svg") && page.contains("Time to first token"))
            for source in ["src=", "<link", "@import", "url(", "<script"] { #expect(!page.contains(source)) }
        }
    }

    @Test("a search ends with the highest rate that keeps the objectives")
    func search() async throws {
        let scene = try LaunchScene()
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, _ in
            let port = try #require(engine.ports?.http)
            // Nothing keeps an objective of less than a microsecond: rates fall until there is none left to try.
            let none = try await run(
                scene,
                [
                    "http://127.0.0.1:\(port)", "--search", "--slo", "e2e=0.001us", "--rate", "0.008", "--requests",
                    "1",
                    "--input-tokens", "5", "--output-tokens", "2",
                ])
            #expect(none.exit == .status(1) && none.output.contains("At no rate did 95 %"), "\(none.output)")
        }
    }
}
