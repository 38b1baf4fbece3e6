import Glibc
import Synchronization
import Testing

@testable import DisaggCore

/// The launcher against fake engines that fail as engines in the field do.
@Suite("Supervision", .serialized)
struct SupervisionTests {
    private func count(_ event: String, _ scene: LaunchScene) -> Int { scene.events.count { $0 == event } }

    @Test("an engine that dies while serving is started again, and a request proves that it works")
    func restarts() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let status = try await scene.run(plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            #expect(scene.events.count { $0 == "proxy request" } == 1)
            _ = await HTTPProbe(url: plan.processes[2].url + "/die").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.contains("prefill-0 ended while it was serving: exit status 9"))
        #expect(scene.contains("Starting prefill-0 again in 20ms (restart 1)"))
        #expect(count("prefill start", scene) == 2 && count("decode start", scene) == 1)
        #expect(count("proxy request", scene) == 2)
        #expect(scene.survivors.isEmpty)
        let log = ProcFile.text(scene.directory + "/logs/prefill-0.log") ?? ""
        #expect(log.contains("start 1 of prefill-0") && log.contains("start 2 of prefill-0"))
    }

    @Test("a decode engine's restart restarts the LMCache prefill engines that knew it, after it")
    func coupled() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(prefills: 2))
        let status = try await scene.run(plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            _ = await HTTPProbe(url: plan.processes[1].url + "/die").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.contains("Restarting prefill-1, too: it has talked to decode-0"))
        let output = scene.output.withLock { $0 }
        let started = output.split(separator: "\n").filter { $0.contains(" started, pid") }
        #expect(
            started.map { String($0.prefix { $0 != " " }) } == [
                "proxy", "decode-0", "prefill-0", "prefill-1", "decode-0", "prefill-0", "prefill-1",
            ])
        // Nobody ever sent an engine a plain request.
        #expect(!scene.events.contains { $0.hasSuffix("plain request") })
        #expect(scene.survivors.isEmpty)
    }

    @Test("the decode engine of another hand-off is restarted alone")
    func uncoupled() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(proxy: "handoff: nixl"))
        let status = try await scene.run(plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            _ = await HTTPProbe(url: plan.processes[1].url + "/die").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            stop.yield()
        }
        #expect(status == 0 && count("decode start", scene) == 2 && count("prefill start", scene) == 1)
    }

    @Test("an engine that dies again and again is given up, with the cause and not just a code")
    func crashLoop() async throws {
        let scene = try LaunchScene()
        let say = "zmq.error.ZMQError: Address already in use (addr='tcp://*:5557')"
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "die", "FAKE_SAY": say]))
        let status = try await scene.run(plan, LaunchScene.settings { $0.restarts.maximumRestarts = 2 })
        #expect(status == 1)
        #expect(count("prefill start", scene) == 3)
        #expect(scene.contains("prefill-0 is given up after 3 failures: another process listens on a port"))
        #expect(scene.contains(say))
        #expect(scene.survivors.isEmpty)
    }

    @Test("a cause that no restart removes is not tried again")
    func permanent() async throws {
        let scene = try LaunchScene()
        let say = "huggingface_hub.errors.GatedRepoError: 401 Client Error. Access to model x is restricted"
        let plan = try await scene.plan(try scene.write(decode: ["FAKE_MODE": "die", "FAKE_SAY": say]))
        #expect(try await scene.run(plan) == 1)
        #expect(count("decode start", scene) == 1)
        #expect(scene.contains("export HF_TOKEN"))
    }

    @Test("a start that fails once succeeds the second time, and a slow one is waited for")
    func secondTry() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(
            try scene.write(["FAKE_MODE": "die,fine", "FAKE_SAY": "?"], decode: ["FAKE_MODE": "late"]))
        let status = try await scene.run(plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            stop.yield()
        }
        #expect(status == 0 && count("prefill start", scene) == 2 && count("decode start", scene) == 1)
    }

    @Test("an engine that answers nothing any more is killed and started again")
    func hangs() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let status = try await scene.run(
            plan,
            LaunchScene.settings {
                $0.hangTimeout = .milliseconds(300)
            }
        ) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            _ = await HTTPProbe(url: plan.processes[2].url + "/hang").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            stop.yield()
        }
        #expect(status == 0)
        #expect(scene.contains("prefill-0 is killed: http://127.0.0.1:") && scene.contains("does not answer"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("LMCache in degraded mode is no readiness, whatever /health says")
    func degraded() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "degraded"]))
        #expect(try await scene.run(plan) == 1)
        #expect(scene.contains("LMCache runs in degraded mode") && scene.contains("PD buffer too small"))
        #expect(!scene.contains("All ready"))
        #expect(count("prefill start", scene) == 1)
        #expect(scene.survivors.isEmpty)
    }

    @Test("a decode engine that never says that its receiver listens, and gets nothing, is no readiness")
    func neverBinds() async throws {
        let scene = try LaunchScene()
        var plan = try await scene.plan(try scene.write(decode: ["FAKE_MODE": "unbound"]))
        plan.processes[0].command.environment["FAKE_PROXY_MODE"] = "unnotified"
        #expect(try await scene.run(plan, LaunchScene.settings { $0.evidencePatience = .milliseconds(100) }) == 1)
        let port = plan.deployment.decode.receiverPorts(replica: 0).allocPorts[0]
        #expect(scene.contains("its log does not show Async mem alloc server listening on port \(port)"))
        #expect(scene.contains("the hand-off does not work") && !scene.contains("All ready"))
        #expect(scene.survivors.isEmpty)
    }

    @Test("an engine that serves another model is no readiness")
    func otherModel() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(decode: ["FAKE_MODE": "other"]))
        #expect(try await scene.run(plan) == 1)
        #expect(scene.contains("it serves another/model, not fake/model"))
    }

    @Test("workers that outlive their engine are gone before it is started again")
    func workersOutlive() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(["FAKE_MODE": "fork,fine"]))
        let status = try await scene.run(plan) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            #expect(scene.survivors.count == 6)
            _ = await HTTPProbe(url: plan.processes[2].url + "/die").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            #expect(scene.survivors.count == 3)
            stop.yield()
        }
        #expect(status == 0 && scene.survivors.isEmpty)
    }

    @Test("with another prefill engine left, one that is given up does not end the deployment")
    func goesOn() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write(prefills: 2))
        let status = try await scene.run(
            plan,
            LaunchScene.settings {
                $0.restarts.maximumRestarts = 0
            }
        ) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            _ = await HTTPProbe(url: plan.processes[3].url + "/die").run()
            try await scene.wait("recovery") { scene.contains("All ready again") }
            let found = try #require(try await RunStatus.read(scene.directory + "/logs"))
            #expect(found.processes.map(\.state) == ["ready", "ready", "ready", "failed"])
            #expect(found.exitStatus == 1)
            stop.yield()
        }
        #expect(status == 0 && scene.contains("The rest goes on without it"))
    }

    @Test("logs are rotated by size while engines write, and an earlier run's log is put aside")
    func rotation() async throws {
        let scene = try LaunchScene()
        let plan = try await scene.plan(try scene.write())
        let log = plan.processes[1].command.logFile
        try RunDirectory.create(scene.directory + "/logs")
        try RunDirectory.append("of an earlier run", to: log)
        let status = try await scene.run(
            plan,
            LaunchScene.settings {
                $0.rotation.maximumBytes = 5000
                $0.rotation.keeps = 2
            }
        ) { stop in
            try await scene.wait("readiness") { scene.contains("All ready after") }
            #expect(ProcFile.text(log + ".1")?.contains("of an earlier run") == true)
            for round in 0..<3 {
                try RunDirectory.append(String(repeating: "\(round)", count: 6000), to: log)
                try await scene.wait("rotation") { ProcFile.text(log)?.isEmpty == true }
            }
            stop.yield()
        }
        #expect(status == 0)
        #expect(ProcFile.text(log + ".1")?.contains("2222") == true)
        #expect(ProcFile.text(log + ".2")?.contains("1111") == true)
        #expect(ProcFile.bytes(log + ".3") == nil)
    }
}
