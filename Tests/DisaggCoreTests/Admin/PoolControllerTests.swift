import Logging
import NIOCore
import Testing

@testable import DisaggCore

@Suite("The pool's controller")
struct PoolControllerTests {
    private func backend(_ role: BackendRole, _ index: Int) -> Backend {
        Backend(
            id: role.backendID(replica: index), role: role, host: "10.0.0.\(index + 1)", port: 8100,
            receiver: role == .decode ? PDReceiver(host: "h", initPorts: [1], allocPorts: [2]) : nil)
    }

    private func controller(_ pool: BackendPool, _ handoff: HandoffKind = .nixl) -> PoolController {
        var deployment = Deployment()
        deployment.handoff = handoff
        return PoolController(pool: pool, deployment: deployment, logger: Logger(label: "test"))
    }

    @Test("a prefill backend is drained when its hand-offs were used, or their leases have ended")
    func kvAware() async throws {
        let pool = BackendPool(prefill: [backend(.prefill, 0), backend(.prefill, 1)], decode: [backend(.decode, 0)])
        let controller = controller(pool)
        let prefill = try #require(pool.snapshot.backend(id: "prefill-0"))
        let decode = try #require(pool.snapshot.backend(id: "decode-0"))
        let used = KVHold(prefill: prefill, decode: decode, chunks: 0)
        let lost = KVHold(prefill: prefill, decode: decode, chunks: 0)
        #expect(try await controller.drain("prefill-0", isForced: false).state == "draining")
        let now = NIODeadline.now()
        used.end()
        #expect(prefill.openHandoffs == 1)
        #expect(!prefill.isDrained(at: now))
        lost.lose(leaseEnds: now + .seconds(30))
        #expect(prefill.openHandoffs == 0)
        // Nobody took it and nobody could free it: the engine holds it for its lease.
        #expect(!prefill.isDrained(at: now + .seconds(29)))
        #expect(prefill.isDrained(at: now + .seconds(31)))
    }

    @Test("an engine is known by its address: another order changes nothing, and a new one gets the next free name")
    func applying() async throws {
        let pool = BackendPool(prefill: [], decode: [backend(.decode, 0), backend(.decode, 1)])
        let controller = controller(pool, .none)
        var reordered = [backend(.decode, 1), backend(.decode, 0)]
        reordered[0].id = "decode-0"
        reordered[1].id = "decode-1"
        let nothing = await controller.apply(reordered, from: .deployment)
        #expect(nothing.added.isEmpty && nothing.leaving.isEmpty)
        let moved = await controller.apply([reordered[0], backend(.decode, 5)], from: .deployment)
        #expect(moved.leaving == ["decode-0"])
        #expect(moved.added == ["decode-5"])
        // What another source named is not touched.
        _ = try await controller.add(backend(.decode, 7), from: .admin)
        let emptied = await controller.apply([], from: .dns)
        #expect(emptied.leaving.isEmpty)
    }

    @Test("a backend that is named again while it leaves stays")
    func namedAgain() async throws {
        let pool = BackendPool(prefill: [], decode: [backend(.decode, 0), backend(.decode, 1)])
        let controller = controller(pool, .none)
        let open = try #require(pool.snapshot.backend(id: "decode-0"))
        open.enter()
        await controller.apply([backend(.decode, 1)], from: .deployment)
        #expect(open.isDraining)
        await controller.apply([backend(.decode, 0), backend(.decode, 1)], from: .deployment)
        #expect(!open.isDraining)
        open.leave()
        #expect(pool.snapshot.decode.count == 2)
    }

    @Test("LMCache prefill engines that sent something are marked when a decoder comes back as another process")
    func restarts() async throws {
        var routing = RoutingSettings()
        routing.decode.healthInterval = .seconds(2)
        routing.prefill.healthInterval = .seconds(2)
        let pool = BackendPool(
            prefill: [backend(.prefill, 0), backend(.prefill, 1)], decode: [backend(.decode, 0)], routing: routing)
        let controller = controller(pool, .lmcache)
        let prefill = try #require(pool.snapshot.backend(id: "prefill-0"))
        let decode = try #require(pool.snapshot.backend(id: "decode-0"))
        // A decoder that comes up after the proxy was no other process before.
        _ = decode.eject(at: .now())
        _ = decode.checked(nil, at: .now())
        for state in [prefill, decode] {
            state.enter()
            state.leave()
        }
        await controller.noteRestarts()
        #expect(!prefill.needsRestart)
        _ = decode.eject(at: .now())
        _ = decode.checked(nil, at: .now())
        await controller.noteRestarts()
        #expect(prefill.needsRestart)
        #expect(pool.snapshot.backend(id: "prefill-1")?.needsRestart == false)
        await controller.noteRestarts()
        #expect(prefill.needsRestart)
        _ = prefill.eject(at: .now())
        _ = prefill.checked(nil, at: .now())
        await controller.noteRestarts()
        #expect(!prefill.needsRestart)
    }

    @Test(
        "engines keep the role they were started with, and the refusal says what would have to be otherwise",
        arguments: [
            (HandoffKind.lmcache, "with pd_role: both it only sends"), (.lmcacheMP, "kv_role kv_both"),
            (.lmcacheLegacy, "lmcache-legacy"),
            (.sglang, "sglang"), (.mooncake, "mooncake"),
        ])
    func fixedRoles(handoff: HandoffKind, reason: String) async {
        let pool = BackendPool(
            prefill: [backend(.prefill, 0), backend(.prefill, 1)], decode: [backend(.decode, 0)])
        let controller = controller(pool, handoff)
        let error = await #expect(throws: DisaggError.self) {
            try await controller.setRole("prefill-1", to: .decode, isForced: false)
        }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test("engines of LMCache's multi-process mode that were started for both roles change them")
    func bothRoles() async throws {
        let pool = BackendPool(
            prefill: [backend(.prefill, 0), backend(.prefill, 1)], decode: [backend(.decode, 0), backend(.decode, 1)])
        var deployment = Deployment()
        deployment.handoff = .lmcacheMP
        deployment.lmcache.enginesChangeRoles = true
        let controller = PoolController(pool: pool, deployment: deployment, logger: Logger(label: "test"))
        _ = try await controller.setRole("prefill-1", to: .decode, isForced: false)
        _ = try await controller.setRole("decode-1", to: .prefill, isForced: false)
        #expect(await controller.settled("prefill-1", within: .seconds(30))?.backend.role == .decode)
        #expect(await controller.settled("decode-1", within: .seconds(30))?.backend.role == .prefill)
    }

    @Test("an engine whose events are elsewhere now is another member, and is never missing")
    func movedEvents() async throws {
        var deployment = Deployment()
        deployment.handoff = .none
        var first = backend(.decode, 0)
        first.kvEvents = KVEventAddress(publishes: Endpoint(host: "10.0.0.1", port: 5557))
        let pool = BackendPool(prefill: [], decode: [first])
        let controller = PoolController(pool: pool, deployment: deployment, logger: Logger(label: "test"))
        let serial = pool.snapshot.decode[0].meter.serial
        await controller.apply([first], from: .deployment)
        #expect(pool.snapshot.decode.map(\.meter.serial) == [serial])
        first.kvEvents?.replays = Endpoint(host: "10.0.0.1", port: 5558)
        await controller.apply([first], from: .deployment)
        #expect(pool.snapshot.decode.map(\.backend) == [first])
        #expect(pool.snapshot.decode[0].meter.serial != serial)
        // Another source that finds the same engine says nothing of its events.
        var found = first
        found.kvEvents = nil
        await controller.apply([found], from: .dns)
        #expect(pool.snapshot.decode.map(\.backend) == [first])
    }

    @Test("there is an end to the number of backends")
    func bounded() async throws {
        let pool = BackendPool(prefill: [], decode: [])
        let controller = controller(pool, .none)
        let many = (0..<PoolController.maximumBackends + 5).map { number in
            Backend(id: "d\(number)", role: .decode, host: "h\(number)", port: 1)
        }
        let moved = await controller.apply(many, from: .dns)
        #expect(moved.added.count == PoolController.maximumBackends)
        #expect(pool.snapshot.decode.count == PoolController.maximumBackends)
    }

    @Test(
        "what a restart is needed for is named",
        arguments: [
            ("proxy: {listen: 127.0.0.1:1234}", "proxy.listen"), ("firstToken: prefill", "firstToken"),
            ("decode: {tensorParallel: 2}\nprefill: {tensorParallel: 2}", "prefill.tensorParallel"),
        ])
    func fixedFields(yaml: String, field: String) throws {
        let error = #expect(throws: DisaggError.self) {
            try DeploymentChange(from: Deployment(), to: try Deployment(yaml: yaml))
        }
        #expect(error?.message.contains(field) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("model") == false)
    }
}
