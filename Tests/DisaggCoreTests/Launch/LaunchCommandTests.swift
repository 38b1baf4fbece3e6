import Glibc
import Testing

@testable import DisaggCore

@Suite("disagg-launch", .serialized, .enabled(if: LaunchScene.launcher != nil, "the executable is built"))
struct LaunchCommandTests {
    /// Runs the executable with the fake programs on PATH.
    private func launch(
        _ scene: LaunchScene, _ arguments: [String],
        _ body: @escaping @Sendable (ProcessSession) async throws -> Void = { _ in }
    ) async throws -> (exit: ProcessExit, output: String) {
        let path = "\(LaunchScene.fakes):\(ExecutableSearch.variable("PATH") ?? "")"
        let command = EngineCommand(
            name: "launcher", arguments: [try #require(LaunchScene.launcher)] + arguments,
            environment: ["PATH": path, "FAKE_SCENE": scene.mark, "FAKE_EVENTS": scene.directory + "/events"],
            logFile: scene.directory + "/launcher.log")
        unlink(command.logFile)
        let (sessions, session) = AsyncStream.makeStream(of: ProcessSession.self)
        async let exit = ChildProcess.run(command, mark: scene.mark) { session.yield($0) }
        for await started in sessions {
            try await body(started)
            break
        }
        return (try await exit, ProcFile.text(command.logFile) ?? "")
    }

    @Test("Ctrl-C stops everything and ends with status 0", arguments: [SIGINT, SIGTERM])
    func interrupt(signal: Int32) async throws {
        let scene = try LaunchScene()
        let file = try scene.write()
        let result = try await launch(
            scene,
            [
                "up", file, "--log-dir", scene.directory + "/logs", "--proxy-executable",
                LaunchScene.fakes + "/disagg-proxy",
            ]
        ) { session in
            try await scene.wait("readiness") {
                ProcFile.text(scene.directory + "/launcher.log")?.contains("All ready") == true
            }
            _ = kill(session.id, signal)
        }
        #expect(result.exit == .status(0), "\(result.output)")
        #expect(result.output.contains("curl http://127.0.0.1:"))
        #expect(scene.survivors.isEmpty)
    }

    @Test(
        "bad input ends with status 2 and one clear error",
        arguments: [
            (["up", "1pd"], "neither a preset"),
            (["up", "1p1d", "--engine", "vlm"], "expected auto, vllm, sglang or simulated"),
            (["preset", "x"], "there is no preset"), (["frobnicate"], "frobnicate"),
            (["up"], "Missing expected argument"),
            (["up", "1p1d", "--port-offset", "60000"], "above 65535"),
            (["up", "1p1d", "--speed", "-1"], "'--speed <speed>': expected 0.0...1000000.0, got \"-1\""),
            (["up", "1p1d", "--max-restarts", "-1"], "expected 0...1000, got \"-1\""),
            (["simulate", "--speed", "-0.5"], "expected 0.0...1000000.0, got \"-0.5\""),
            (["simulate", "--port", "-1"], "'--port <port>': expected 0...65535, got \"-1\""),
            (["bench", "http://h", "--rate", "-1"], "--rate: expected requests a second above 0"),
            (["bench", "http://h", "--rate", "-inf"], "--rate: expected requests a second above 0"),
            (["bench", "http://h", "--concurrency", "-3"], "--concurrency: expected 1...1000000, got -3"),
            (["bench", "http://h", "--input-tokens", "-5"], "--input-tokens: expected"),
            (
                ["bench", "http://h", "--input-tokens", "4.5"],
                "'--input-tokens <input-tokens>': expected a whole number"
            ),
            (["bench", "http://h", "--burstiness", "abc"], "'--burstiness <b>': expected a number"),
            (["bench", "http://h", "--seed", "-1"], "'--seed <seed>': expected a number of 0 or more"),
            (["bench", "--compare", "/no/a.json", "/no/b.json"], "cannot read /no/a.json: No such file"),
            (["plan", "--model", "Qwen/Qwen3-8B", "--gpu", "H100", "--gpus", "-2"], "--gpus: expected 1...4096 GPUs"),
            (["plan", "--model", "Qwen/Qwen3-8B", "--format", "xml"], "expected table, json, yaml, svg or html"),
            (
                ["predict", "--model", "Qwen/Qwen3-8B", "--gpu", "H100", "--prefill-tokens", "-1"],
                "--prefill-tokens: expected 1...10000000, got -1"
            ),
            (
                ["predict", "--model", "Qwen/Qwen3-8B", "--gpu", "H100", "--isl", "9", "--osl", "9", "--rate", "-1"],
                "--rate: expected requests a second above 0"
            ),
            (["calibrate", "http://h", "--gpu", "H100", "--tensor-parallel", "-1"], "expected 1...64, got \"-1\""),
            (["calibrate", "http://h", "--gpu", "H100", "--output", "/no/x.json"], "/no/x.json cannot be written"),
        ])
    func badInput(arguments: [String], expected: String) async throws {
        let scene = try LaunchScene()
        let result = try await launch(scene, arguments)
        #expect(result.exit == .status(2))
        #expect(result.output.contains(expected), "\(result.output)")
    }

    @Test("a dry run changes nothing, and a printed preset is a file that loads")
    func dryRun() async throws {
        let scene = try LaunchScene()
        let logs = scene.directory + "/logs"
        let result = try await launch(scene, ["up", "xpyd", "--engine", "vllm", "--dry-run", "--log-dir", logs])
        #expect(result.exit == .status(0))
        #expect(result.output.contains("--port 8101") && result.output.contains("pd_peer_init_port: [7301]"))
        #expect(ProcFile.names(in: logs) == nil)
        let preset = try await launch(scene, ["preset", "1p1d"])
        #expect(try Deployment(yaml: preset.output) == Deployment())
    }

    @Test("simulated engines and the real proxy come up and answer the printed request")
    func simulated() async throws {
        let scene = try LaunchScene()
        let ports = LaunchScene.freePorts(7)
        let file = EngineCommand.File(
            path: scene.directory + "/sim.yaml",
            contents: """
                engine: simulated
                prefill: {port: \(ports[0]), env: {FAKE_SCENE: \(scene.mark)}}
                decode: {port: \(ports[1]), initPort: \(ports[2]), allocPort: \(ports[3])}
                proxy:
                  listen: 127.0.0.1:\(ports[4])
                  notify: 127.0.0.1:\(ports[5])
                  admin: 127.0.0.1:\(ports[6])
                simulator: {speed: 0}
                """)
        try RunDirectory.write(file)
        let result = try await launch(scene, ["up", file.path, "--log-dir", scene.directory + "/logs"]) { session in
            func log() -> String { ProcFile.text(scene.directory + "/launcher.log") ?? "" }
            try await scene.wait("readiness") { log().contains("All ready") }
            let line = try #require(log().split(separator: "\n").first { $0.hasPrefix("  curl ") })
            let curl = EngineCommand(
                name: "curl", arguments: ["/bin/sh", "-c", "\(line) -sS -m 20"], logFile: scene.directory + "/curl.log")
            #expect(try await ChildProcess.run(curl, mark: scene.mark + "-curl") { _ in } == .status(0))
            let answer = try JSONView(parsing: ProcFile.text(curl.logFile) ?? "")
            #expect(answer["usage"]?["completion_tokens"]?.int == 16)
            _ = kill(session.id, SIGINT)
        }
        #expect(result.exit == .status(0), "\(result.output)")
        #expect(scene.survivors.isEmpty)
    }
}
