import Glibc
import Testing

@testable import DisaggCore

/// `check --online` against fake engines that run and are wrong in one thing.
@Suite("Checks of running engines", .serialized)
struct OnlineCheckTests {
    /// One thing that is wrong, and how it is reported.
    struct Trouble: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var prefill: [String: String] = [:]
        var decode: [String: String] = [:]
        var checks: [CheckID] = []
        var place = "decode-0"
        var message = ""
    }

    static let troubles = [
        Trouble(testDescription: "nothing"),
        Trouble(
            testDescription: "the hand-off's start failed on prefill", prefill: ["FAKE_MODE": "degraded"],
            checks: [.pdDegraded, .logProblem], place: "prefill-0", message: "System will operate in degraded mode"),
        Trouble(
            testDescription: "the hand-off's start failed on decode", decode: ["FAKE_MODE": "degraded"],
            checks: [.pdDegraded, .logProblem], message: "System will operate in degraded mode"),
        Trouble(
            testDescription: "a receiver that does not say that it listens", decode: ["FAKE_MODE": "unbound"],
            checks: [.pdNotBound], message: "not in its log: Async mem alloc server listening on port "),
        Trouble(
            testDescription: "another version", decode: ["FAKE_VERSION": "0.23.0"], checks: [.engineVersion],
            place: "prefill-0", message: "it is 0.24.0, decode-0 is 0.23.0"),
        Trouble(
            testDescription: "another model", decode: ["FAKE_MODE": "other"], checks: [.servedModel],
            message: "it serves another/model, not fake/model"),
        Trouble(
            testDescription: "another seed, equal only as a number", decode: ["PYTHONHASHSEED": "00"],
            checks: [.runningSeed], place: "prefill-0", message: "PYTHONHASHSEED is 0, in decode-0 00"),
        Trouble(
            testDescription: "no seed", decode: ["PYTHONHASHSEED": ""], checks: [.runningSeed],
            message: "PYTHONHASHSEED is not set in process "),
        Trouble(
            testDescription: "an engine that is not ready", prefill: ["FAKE_MODE": "slow"],
            checks: [.engineUnreachable],
            place: "prefill-0", message: "GET /health answers 503"),
    ]

    /// Starts a plan's processes without a supervisor, and writes the state that one would have written.
    private func running(
        _ scene: LaunchScene, _ plan: LaunchPlan, _ body: @Sendable @escaping () async throws -> Void
    ) async throws {
        for file in plan.processes.flatMap(\.command.files) { try RunDirectory.write(file) }
        let (sessions, started) = AsyncStream.makeStream(of: (Int, ProcessSession).self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, process) in plan.processes.enumerated() {
                group.addTask {
                    let mark = "\(scene.mark)/\(process.command.name)"
                    _ = try await ChildProcess.run(process.command, mark: mark) { started.yield((index, $0)) }
                }
            }
            var found: [Int: ProcessSession] = [:]
            for await (index, session) in sessions {
                found[index] = session
                if found.count == plan.processes.count { break }
            }
            let state = RunState(
                launcher: 2, launcherTicks: 0, bootID: ProcessFacts.bootID, mark: scene.mark, source: "", model: "",
                handoff: "", phase: "up", startedAt: 0,
                processes: plan.processes.enumerated().map { index, process in
                    .init(
                        name: process.command.name, role: process.role, state: "ready", pid: found[index]?.id,
                        startTicks: found[index].flatMap { ProcessFacts($0.id)?.startTicks }, url: process.url,
                        healthURL: process.healthURL, log: process.command.logFile, gpus: [], restarts: 0, since: 0,
                        cause: nil)
                })
            do {
                try RunDirectory.replace(
                    .init(path: "\(scene.directory)/logs/\(RunState.fileName)", contents: state.json))
                for process in plan.processes {
                    // Each writes its lines before it listens, and answers as soon as it does.
                    for _ in 0..<1000 {
                        if case .status = await HTTPProbe(url: process.healthURL).run() { break }
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                try await body()
            } catch {
                Issue.record(error)
            }
            for session in found.values { session.signalMembers(SIGKILL) }
            try await group.waitForAll()
        }
    }

    @Test("what is wrong is reported with its name, place and cause, and nothing else is", arguments: troubles)
    func trouble(trouble: Trouble) async throws {
        let scene = try LaunchScene()
        try RunDirectory.create(scene.directory + "/logs")
        let plan = try await scene.plan(try scene.write(trouble.prefill, decode: trouble.decode))
        try await running(scene, plan) {
            let findings = await OnlineCheck(plan.deployment, directory: scene.directory + "/logs").run()
            #expect(findings.map(\.check) == trouble.checks, "\(findings)")
            guard let finding = findings.first else { return }
            #expect(finding.place == trouble.place && finding.message.contains(trouble.message), "\(finding)")
        }
        #expect(scene.survivors.isEmpty)
    }

    @Test("what is not there is reported as unreachable, and a proxy without its notification port")
    func unreachable() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let findings = await OnlineCheck(plan.deployment, directory: scene.directory).run()
        #expect(findings.count { $0.check == .engineUnreachable } == 2)
        #expect(findings.count { $0.check == .proxyNotListening } == 1)
    }

    @Test("a preset that leaves the engine to the machine is checked as what was started")
    func settledEngine() throws {
        let scene = try LaunchScene()
        var deployment = Deployment()
        deployment.takeEngine(from: scene.directory)
        #expect(deployment.engine == .auto)
        try RunDirectory.write(.init(path: scene.directory + "/deployment.yaml", contents: "engine: simulated"))
        deployment.takeEngine(from: scene.directory)
        #expect(deployment.engine == .simulated)
        deployment.engine = .vllm
        deployment.takeEngine(from: scene.directory)
        #expect(deployment.engine == .vllm)
    }

    @Test("only the last start counts, and lines that were rotated away are not missing")
    func lastStart() async throws {
        let scene = try LaunchScene()
        let deployment = try await scene.plan(try scene.write()).deployment
        let log = scene.directory + "/decode-0.log"
        func found() async -> Set<CheckID> {
            Set(
                await OnlineCheck(deployment, directory: scene.directory).run().filter { $0.place == "decode-0" }.map(
                    \.check))
        }
        let heading = "\(LogTail.startMark)start 2 of decode-0"
        try RunDirectory.write(
            .init(path: log, contents: "System will operate in degraded mode\nCUDA out of memory\n\(heading)\nINFO\n"))
        #expect(await found() == [.engineUnreachable, .pdNotBound])
        try RunDirectory.write(.init(path: log + ".1", contents: "\(heading)\n"))
        try RunDirectory.write(.init(path: log, contents: "INFO\ntorch.OutOfMemoryError: CUDA out of memory.\n"))
        #expect(await found() == [.engineUnreachable, .logProblem])
    }
}
