import Glibc
import Testing

@testable import DisaggCore

/// A run seen from outside: status, logs, down, and launchers that were killed.
@Suite("Runs and their directories", .serialized, .enabled(if: LaunchScene.launcher != nil, "the executable is built"))
struct RunRecoveryTests {
    /// Starts the executable's `up` on fake engines and calls `body` once all is ready.
    private func up(
        _ scene: LaunchScene, _ file: String, _ body: @escaping @Sendable (ProcessSession) async throws -> Void
    ) async throws -> ProcessExit {
        let path = "\(LaunchScene.fakes):\(ExecutableSearch.variable("PATH") ?? "")"
        let command = EngineCommand(
            name: "launcher",
            arguments: [
                try #require(LaunchScene.launcher), "up", file, "--log-dir", scene.directory + "/logs",
                "--proxy-executable", LaunchScene.fakes + "/disagg-proxy", "--grace", "1",
            ],
            environment: ["PATH": path, "FAKE_SCENE": scene.mark, "FAKE_EVENTS": scene.directory + "/events"],
            logFile: scene.directory + "/launcher.log")
        unlink(command.logFile)
        let (sessions, session) = AsyncStream.makeStream(of: ProcessSession.self)
        // The launcher's own processes are in sessions of their own: killing it leaves them, as in life.
        async let exit = ChildProcess.run(command, mark: scene.mark) { session.yield($0) }
        for await started in sessions {
            do {
                try await scene.wait("readiness") {
                    ProcFile.text(command.logFile)?.contains("All ready after") == true
                }
                try await body(started)
            } catch {
                started.signalMembers(SIGKILL)
            }
            break
        }
        return try await exit
    }

    private func launch(_ scene: LaunchScene, _ arguments: [String]) async throws -> (exit: ProcessExit, output: String)
    {
        let command = EngineCommand(
            name: "command",
            arguments: [try #require(LaunchScene.launcher)] + arguments + ["--log-dir", scene.directory + "/logs"],
            logFile: scene.directory + "/command.log")
        unlink(command.logFile)
        let exit = try await ChildProcess.run(command, mark: scene.mark + "-command") { _ in }
        return (exit, ProcFile.text(command.logFile) ?? "")
    }

    @Test("status shows a table and JSON, logs their lines, a second up is refused, and down stops everything")
    func fromOutside() async throws {
        let scene = try LaunchScene()
        let file = try scene.write()
        let exit = try await up(scene, file) { _ in
            let table = try await launch(scene, ["status"])
            #expect(table.exit == .status(0), "\(table.output)")
            let lines = table.output.split(separator: "\n")
            #expect(lines.first?.contains("fake/model, lmcache: up for") == true)
            #expect(lines.contains { $0.hasPrefix("NAME") && $0.contains("RESTARTS") })
            #expect(lines.count { $0.contains(" ready ") && $0.contains(" ok ") } == 3)
            let json = try JSONView(parsing: try await launch(scene, ["status", "--json"]).output)
            #expect(json["launcher_alive"]?.rawString == "true" && json["processes"]?.elements.count == 3)
            #expect(json["processes"]?[2]?["gpus"]?[0]?.int == 0 && json["processes"]?[1]?["gpus"]?[0]?.int == 1)

            let check = try await launch(scene, ["check", file, "--online"])
            #expect(check.exit == .status(0) && check.output.hasSuffix(": 0 errors, 1 warning\n"), "\(check.output)")
            let other = try await launch(scene, ["check", file, "--online", "--model", "other/model"])
            #expect(other.exit == .status(1) && other.output.contains("it serves fake/model, not other/model"))

            let logs = try await launch(scene, ["logs", "prefill", "-n", "1"])
            #expect(logs.output.hasPrefix("INFO prefill on") && !logs.output.contains("decode"))
            let unknown = try await launch(scene, ["logs", "prefil-0"])
            #expect(unknown.exit == .status(2) && unknown.output.contains("did you mean prefill-0?"))

            let second = try await launch(
                scene, ["up", file, "--engine", "simulated", "--proxy-executable", LaunchScene.fakes + "/disagg-proxy"])
            #expect(second.exit == .status(2))
            #expect(second.output.contains("belongs to a deployment that runs"))

            let down = try await launch(scene, ["down"])
            #expect(down.exit == .status(0) && down.output.contains("stopped"))
        }
        #expect(exit == .status(0))
        #expect(scene.survivors.isEmpty)
        #expect(try await launch(scene, ["status"]).exit == .status(2))
        #expect(try await launch(scene, ["down"]).output.contains("nothing runs"))
    }

    @Test(
        "what a killed launcher left is stopped by the next up, also workers without an environment or without their engine",
        arguments: [("title", 1), ("fork", 3)], [false, true])
    func recovery(workersOf: (mode: String, count: Int), engineDies: Bool) async throws {
        let scene = try LaunchScene()
        let file = try scene.write(["FAKE_MODE": workersOf.mode])
        let kills: @Sendable (ProcessSession) async throws -> Void = { session in
            _ = kill(session.id, SIGKILL)
        }
        #expect(try await up(scene, file, kills) == .signal(9))
        let workers = scene.events.compactMap { $0.split(separator: " ").last.flatMap { Int32($0) } }
        #expect(workers.count == workersOf.count)
        let state = try #require(try RunState.read(scene.directory + "/logs"))
        #expect(!state.launcherIsAlive)
        let left = 3 + workers.count - (engineDies ? 1 : 0)
        if engineDies {
            let engine = try #require(state.processes.first { $0.name == "prefill-0" }?.pid)
            _ = kill(engine, SIGKILL)
            try await scene.wait("the engine's end") { ProcessFacts(engine)?.isAlive != true }
        }
        #expect(Orphans(state).processes.count == left)
        let status = try await launch(scene, ["status"])
        #expect(status.exit == .status(1) && status.output.contains("is gone"))

        let second = try await up(scene, file) { session in
            let output = ProcFile.text(scene.directory + "/launcher.log") ?? ""
            #expect(output.contains("was killed and left \(left) processes: stopping"), "\(output)")
            #expect(Orphans(state).processes.isEmpty)
            _ = kill(session.id, SIGTERM)
        }
        #expect(second == .status(0))
        #expect(scene.survivors.isEmpty)
        #expect(!workers.contains { ProcessFacts($0)?.isAlive == true })
    }

    @Test("down stops what a killed launcher left")
    func downAfterKill() async throws {
        let scene = try LaunchScene()
        let file = try scene.write()
        let kills: @Sendable (ProcessSession) async throws -> Void = { session in
            _ = kill(session.id, SIGKILL)
        }
        #expect(try await up(scene, file, kills) == .signal(9))
        #expect(scene.survivors.count == 3)
        #expect(try await launch(scene, ["down"]).exit == .status(0))
        #expect(scene.survivors.isEmpty)
    }

    @Test("a process is never taken for an orphan by its id alone")
    func foreign() async throws {
        let scene = try LaunchScene()
        let command = EngineCommand(
            name: "sleep", arguments: ["/bin/sleep", "60"], environment: ["FAKE_SCENE": scene.mark],
            logFile: scene.directory + "/sleep.log")
        _ = try await ChildProcess.run(command, mark: "another-run/sleep") { session in
            // While it is being started it has no environment yet, and where there is none, id and start time do decide.
            while case .hidden = ProcessFacts.variable(ProcessSession.markName, of: session.id) {
                usleep(1_000)
            }
            let ticks = ProcessFacts(session.id)?.startTicks ?? 0
            func state(mark: String, ticks: UInt64, boot: String = ProcessFacts.bootID) -> RunState {
                RunState(
                    launcher: session.id, launcherTicks: ticks + 1, bootID: boot, mark: mark, source: "", model: "",
                    handoff: "", phase: "up", startedAt: 0,
                    processes: [
                        .init(
                            name: "x", role: "x", state: "ready", pid: session.id, startTicks: ticks, url: "",
                            healthURL: "", log: "", gpus: [], restarts: 0, since: 0, cause: nil)
                    ])
            }
            // Its environment says whose it is, even where id and start time fit.
            #expect(Orphans(state(mark: "this-run", ticks: ticks)).processes.isEmpty)
            #expect(Orphans(state(mark: "another-run", ticks: ticks, boot: "x")).processes.isEmpty)
            #expect(Orphans(state(mark: "", ticks: ticks)).processes.isEmpty)
            #expect(Orphans(state(mark: "another-run", ticks: 0)).processes == [session.id])
            #expect(!state(mark: "", ticks: ticks).launcherIsAlive)
            session.signalMembers(SIGKILL)
        }
        #expect(scene.survivors.isEmpty)
    }

    @Test("a state is read back as it was written, and others are refused")
    func stateFile() throws {
        let scene = try LaunchScene()
        let state = RunState(
            launcher: 77, launcherTicks: 123, bootID: "b", mark: "m", source: "a \"file\".yaml", model: "x/y",
            handoff: "nixl", phase: "up", startedAt: 5,
            processes: [
                .init(
                    name: "decode-0", role: "decode", state: "waiting", pid: nil, startTicks: nil, url: "u",
                    healthURL: "h", log: "l", gpus: [1, 2], restarts: 3, since: 4, cause: "why\n")
            ])
        let path = "\(scene.directory)/\(RunState.fileName)"
        try RunDirectory.replace(.init(path: path, contents: state.json))
        #expect(try RunState.read(scene.directory) == state)
        for text in ["", "{}", "[1]", #"{"version":1,"launcher":-1,"processes":[]}"#] {
            try RunDirectory.replace(.init(path: path, contents: text))
            #expect(throws: CommandError.self) { try RunState.read(scene.directory) }
        }
    }
}
