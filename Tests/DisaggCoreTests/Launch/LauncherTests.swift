import Glibc
import Synchronization
import Testing

@testable import DisaggCore

@Suite("Launcher", .serialized)
struct LauncherTests {
    /// Runs a plan in which a failure ends everything; `body` may stop it through the continuation.
    private func run(
        _ scene: LaunchScene, _ plan: LaunchPlan, grace: Duration = .seconds(5),
        readyTimeout: Duration = .seconds(30),
        _ body: @escaping @Sendable (AsyncStream<Void>.Continuation) async throws -> Void = { _ in }
    ) async throws -> Int32 {
        let settings = LaunchScene.settings {
            $0.grace = grace
            $0.readyTimeout = readyTimeout
            $0.restarts.maximumRestarts = 0
        }
        return try await scene.run(plan, settings, body)
    }

    @Test("starts proxy, decode and prefill in this order, announces them, and a stop leaves nothing with status 0")
    func fine() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let status = try await run(scene, plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.survivors.isEmpty)
        let output = scene.output.withLock { $0 }
        #expect(output.contains(plan.curlLine))
        let started = output.split(separator: "\n").filter { $0.contains(" started, pid") }
        #expect(started.map { String($0.prefix { $0 != " " }) } == ["proxy", "decode-0", "prefill-0"])
        // The proxy is asked first, and the engines only once it has gone.
        let events = scene.events
        let proxyEnd = try #require(events.firstIndex(of: "proxy end"))
        #expect(events.firstIndex(of: "proxy sigterm") ?? .max < proxyEnd)
        for engine in ["decode", "prefill"] {
            #expect(try #require(events.firstIndex(of: "\(engine) sigterm")) > proxyEnd)
        }
        #expect(ProcFile.text(scene.directory + "/logs/prefill-0.log")?.contains("prefill on") == true)
        #expect(ProcFile.text(scene.directory + "/logs/lmcache-decode-0.yaml")?.contains("receiver") == true)
    }

    @Test("an engine that dies before it is ready shows its last lines, status 1, and all is stopped")
    func diesEarly() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "die"]))
        #expect(try await run(scene, plan) == 1)
        #expect(scene.contains("prefill-0 ended before it was ready: exit status 3"))
        #expect(scene.contains("the GPU's memory is full") && scene.contains("what to do:"))
        #expect(scene.contains("ERROR line 29: CUDA out of memory"))
        #expect(scene.contains("ERROR line 10:") && !scene.contains("ERROR line 9:"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("an engine that dies while serving is reported, status 1, and all is stopped")
    func diesLate() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let status = try await run(scene, plan) { _ in
            try await scene.wait("readiness") { scene.contains("All ready") }
            _ = await HTTPProbe(url: plan.processes[1].url + "/die").run()
        }
        #expect(status == 1)
        #expect(scene.contains("decode-0 ended while it was serving: exit status 9"))
        #expect(scene.contains("FATAL: engine core died"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("grandchildren that left the process group or the session, and ignore SIGTERM, do not survive")
    func grandchildren() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "fork"]))
        let status = try await run(scene, plan, grace: .seconds(2)) { stop in
            try await scene.wait("readiness") { scene.contains("All ready") }
            #expect(scene.survivors.count == 6)
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.survivors.isEmpty)
    }

    @Test("an engine that ignores SIGTERM is killed after the grace")
    func stubborn() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(decode: ["FAKE_MODE": "stubborn"]))
        let status = try await run(scene, plan, grace: .milliseconds(300)) { stop in
            try await scene.wait("readiness") { scene.contains("All ready") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.contains("Killing decode-0"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("a second stop kills at once, before the grace is over")
    func secondStop() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(decode: ["FAKE_MODE": "stubborn"]))
        let start = ContinuousClock.now
        let status = try await run(scene, plan, grace: .seconds(600)) { stop in
            try await scene.wait("readiness") { scene.contains("All ready") }
            stop.yield()
            try await scene.wait("SIGTERM at decode") { scene.events.contains("decode sigterm") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(ContinuousClock.now - start < .seconds(60))
        #expect(scene.survivors.isEmpty)
    }

    @Test("a proxy that does not drain in time is killed, the engines are still asked politely")
    func drainTimeout() async throws {
        let scene = try LaunchScene()
        var plan = try await scene.plan(try scene.write(proxy: "  drainTimeout: 0s"))
        plan.processes[0].command.environment["FAKE_PROXY_MODE"] = "stubborn"
        let status = try await run(scene, plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.contains("Killing proxy"))
        #expect(scene.events.contains("decode end") && scene.events.contains("prefill end"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("engines that are not ready in time are named, status 1")
    func neverReady() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "slow"]))
        #expect(try await run(scene, plan, readyTimeout: .seconds(3)) == 1)
        #expect(scene.contains("not ready within 3s: prefill-0"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("a taken port is an error with status 2 that names the holder, and nothing is started")
    func takenPort() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let port = try #require(plan.deployment.decode.receiverPorts(replica: 0).allocPorts.first)
        let (descriptor, _) = try #require(LaunchScene.boundSocket(port: port))
        defer { close(descriptor) }
        #expect(listen(descriptor, 1) == 0)
        do throws(CommandError) {
            _ = try await Launcher.prepare(plan, directory: scene.directory + "/logs")
            Issue.record("expected an error")
        } catch {
            #expect(error.exitStatus == 2)
            #expect(
                error.description.contains("port \(port), which decode-0 needs (PD alloc), is taken by pid \(getpid())")
            )
        }
        #expect(ProcFile.names(in: scene.directory + "/logs") == nil)
    }

    @Test("without vllm on PATH the error says what to do, status 2")
    func noVLLM() async throws {
        let scene = try LaunchScene()
        var request = LaunchRequest(source: try scene.write())
        request.searchPath = scene.directory
        do throws(CommandError) {
            _ = try await request.plan(dryRun: false) { _ in }
            Issue.record("expected an error")
        } catch {
            #expect(error.exitStatus == 2)
            #expect(error.description.hasPrefix("vllm is not on PATH"))
        }
    }
}
