import NIOCore
import Testing

@testable import DisaggCore

@Suite("Backend pool")
struct BackendPoolTests {
    private static func backend(_ role: BackendRole, _ index: Int) -> Backend {
        Backend(id: role.backendID(replica: index), role: role, host: "127.0.0.1", port: 1000 + index)
    }

    private static func pool(
        _ prefill: Int, _ decode: Int, policy: PolicyKind = .roundRobin,
        _ configure: (inout RoutingSettings) -> Void = { _ in }
    ) -> BackendPool {
        var routing = RoutingSettings()
        for role in BackendRole.allCases { routing[role].policy = policy }
        configure(&routing)
        return BackendPool(
            prefill: (0..<prefill).map { backend(.prefill, $0) }, decode: (0..<decode).map { backend(.decode, $0) },
            routing: routing, decodeChunks: 100)
    }

    private func pick(
        _ pool: BackendPool, _ role: BackendRole = .decode, at now: NIODeadline = .now(),
        with constraints: PickConstraints = PickConstraints()
    ) -> String? {
        var generator = SeededGenerator(seed: 1)
        let result = pool.pick(role, for: RequestFacts(), constraints, at: now, using: &generator)
        return switch result {
        case .chosen(let state): state.backend.id
        case .full: "full"
        case .none: nil
        }
    }

    private let now = NIODeadline.now()

    @Test("backends join and leave; who has an old snapshot chooses no backend that left")
    func membership() throws {
        let pool = Self.pool(1, 1)
        let generation = pool.snapshot.generation
        let added = try pool.add(Self.backend(.decode, 1), weight: 0.5)
        #expect(pool.decode.map(\.backend.id) == ["decode-0", "decode-1"] && added.meter.baseWeight == 0.5)
        #expect(pool.snapshot.generation > generation)
        #expect(throws: PoolError.duplicate("decode-1")) { try pool.add(Self.backend(.decode, 1)) }
        let old = pool.snapshot
        try pool.remove(id: "decode-0")
        #expect(pool.decode.map(\.backend.id) == ["decode-1"])
        #expect(old.decode.first?.isAvailable(at: now) == false)
        #expect(throws: PoolError.unknown("decode-0")) { try pool.remove(id: "decode-0") }
        let again = try pool.add(Self.backend(.decode, 0))
        #expect(again.meter.serial > added.meter.serial)
        for _ in 0..<4 { #expect(["decode-0", "decode-1"].contains(pick(pool) ?? "")) }
    }

    @Test("a prefill backend is drained when its hand-offs were taken or their leases ended")
    func drain() throws {
        let pool = Self.pool(2, 1)
        let state = pool.prefill[0]
        state.enter()
        state.handoffBegan()
        state.handoffBegan()
        try pool.drain(id: "prefill-0")
        for _ in 0..<4 { #expect(pick(pool, .prefill) == "prefill-1") }
        state.leave()
        #expect(!state.isDrained(at: now))
        state.handoffEnded()
        #expect(!state.isDrained(at: now))
        state.handoffLost(leaseEnds: now + .seconds(30))
        #expect(!state.isDrained(at: now + .seconds(29)) && state.isDrained(at: now + .seconds(30)))
        try pool.resume(id: "prefill-0")
        #expect(!state.isDrained(at: now + .seconds(30)))
        #expect(Set((0..<4).compactMap { _ in pick(pool, .prefill) }).count == 2)
    }

    @Test("a backend changes its role when it is drained, and not before")
    func role() throws {
        let pool = Self.pool(2, 1)
        let decoder = Self.backend(.decode, 1)
        #expect(throws: PoolError.notDrained("prefill-1")) {
            try pool.setRole(id: "prefill-1", to: decoder, at: now)
        }
        try pool.drain(id: "prefill-1")
        try pool.setRole(id: "prefill-1", to: decoder, at: now)
        #expect(pool.prefill.count == 1 && pool.decode.map(\.backend.id) == ["decode-0", "decode-1"])
        #expect(Set((0..<4).compactMap { _ in pick(pool) }).count == 2)
    }

    @Test("a refused backend is out at once and in again when a check passes, with a small share first")
    func health() throws {
        let pool = Self.pool(1, 2)
        let state = pool.decode[0]
        #expect(state.eject(at: now) && !state.eject(at: now))
        #expect(state.downCause == .refused)
        for _ in 0..<4 { #expect(pick(pool) == "decode-1") }
        #expect(state.checked(nil, at: now))
        #expect(
            state.downCause == nil && state.isAvailable(at: now) && state.meter.weight(at: now.uptimeNanoseconds) < 0.2)
        #expect(state.meter.cacheValidSince == now.uptimeNanoseconds)
    }

    @Test("back-pressure keeps requests away for as long as the engine said, and opens no breaker")
    func backPressure() {
        let pool = Self.pool(1, 2)
        for _ in 0..<50 { pool.decode[0].record(.overloaded(retryAfter: 3), at: now) }
        #expect(pool.decode[0].breakerState(at: now) == "closed" && pool.decode[0].failed == 0)
        #expect(pick(pool, at: now) == "decode-1" && pick(pool, at: now + .seconds(2)) == "decode-1")
        #expect(Set((0..<4).compactMap { _ in pick(pool, at: now + .seconds(3)) }).count == 2)
    }

    @Test("an open breaker lets one request at a time through when its time is over")
    func trial() {
        let pool = Self.pool(1, 2)
        let state = pool.decode[0]
        for _ in 0..<5 { state.record(.fault, at: now) }
        #expect(pool.decode[1].breakerState(at: now) == "closed")
        for _ in 0..<4 { #expect(pick(pool, at: now + .seconds(1)) == "decode-1") }
        let later = now + .seconds(2)
        #expect(state.isAvailable(at: later))
        state.enter()
        #expect(!state.isAvailable(at: later))
        // The client of the trial left: no verdict, and room for another trial.
        state.leave()
        #expect(state.isAvailable(at: later))
        state.enter()
        state.record(.answered, at: later)
        state.leave()
        state.enter()
        #expect(state.isAvailable(at: later) && state.breakerState(at: later) == "closed")
    }

    @Test("with all backends down one is tried all the same, or none", arguments: [WhenAllDown.tryAnyway, .refuse])
    func panic(whenAllDown: WhenAllDown) throws {
        let pool = Self.pool(1, 2) { $0.whenAllDown = whenAllDown }
        for state in pool.decode { _ = state.eject(at: now) }
        #expect((pick(pool) != nil) == (whenAllDown == .tryAnyway))
        var constraints = PickConstraints()
        constraints.triedDecode = pool.decode
        #expect(pick(pool, with: constraints) == nil)
        try pool.drain(id: "decode-0")
        try pool.drain(id: "decode-1")
        #expect(pick(pool) == nil)
    }

    @Test("backends that have as much as they may have are full, not gone")
    func full() {
        let pool = Self.pool(1, 2) { $0.decode.maximumInFlight = 1 }
        for state in pool.decode { state.enter() }
        #expect(pick(pool) == "full")
        pool.decode[1].leave()
        #expect(pick(pool) == "decode-1")
        var constraints = PickConstraints()
        constraints.chunks = 60
        let taken = pool.decode[1].meter.budget.take(60)
        #expect(taken == 60 && pick(pool, with: constraints) == "full")
        constraints.chunks = 40
        #expect(pick(pool, with: constraints) == "decode-1")
    }

    @Test("a custom policy that chooses nonsense is not obeyed")
    func nonsense() {
        struct Nonsense: LoadBalancingPolicy {
            let name = "nonsense"
            func pick(
                from candidates: Candidates, for request: RequestFacts,
                using generator: inout some RandomNumberGenerator
            ) -> Int? { 99 }
        }
        let pool = BackendPool(
            prefill: [], decode: [Self.backend(.decode, 0)],
            policies: PolicySet(prefill: Nonsense(), decode: Nonsense()))
        #expect(pick(pool) == "full")
    }

    @Test("picks and changes of the membership go together on many threads")
    func concurrent() async throws {
        let pool = Self.pool(4, 4, policy: .pairCost)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<4 as Range<UInt64> {
                group.addTask {
                    var generator = SeededGenerator(seed: task)
                    for _ in 0..<2000 {
                        let result = pool.pickPair(
                            for: RequestFacts(), PickConstraints(), at: .now(), using: &generator)
                        guard case .chosen(let pair) = result else { continue }
                        pair.decode.enter(tokens: 10)
                        pair.decode.record(.answered, at: .now())
                        pair.decode.leave(tokens: 10)
                    }
                }
            }
            group.addTask {
                for round in 10..<60 {
                    try pool.add(Self.backend(.decode, round))
                    try pool.drain(id: "decode-\(round)")
                    try pool.remove(id: "decode-\(round)")
                }
            }
            try await group.waitForAll()
        }
        #expect(pool.decode.count == 4 && pool.decode.allSatisfy { $0.inFlight == 0 && $0.meter.queuedTokens == 0 })
    }
}
