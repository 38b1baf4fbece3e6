import Testing

@testable import DisaggCore

@Suite("Session policy")
struct SessionPolicyTests {
    private func pick(_ policy: SessionPolicy, _ role: TestRole, session: UInt64) -> Int? {
        var facts = RequestFacts()
        facts.sessionKey = StableHash.mix(session, 99)
        var generator = SeededGenerator(seed: 1)
        return policy.pick(from: role.candidates(), for: facts, using: &generator)
    }

    @Test("a session stays, and sessions are spread")
    func sticks() {
        let policy = SessionPolicy()
        let role = TestRole(5)
        var counts = [Int](repeating: 0, count: 5)
        for session in 0..<5000 as Range<UInt64> {
            let first = pick(policy, role, session: session)
            #expect(first == pick(policy, role, session: session))
            counts[first ?? 0] += 1
        }
        #expect((counts.min() ?? 0) > 600 && (counts.max() ?? 0) < 1500, "\(counts)")
    }

    @Test("when a backend leaves only its own sessions move")
    func consistent() {
        let policy = SessionPolicy()
        var role = TestRole(5)
        let before = (0..<2000 as Range<UInt64>).map { pick(policy, role, session: $0).map { role.meters[$0].serial } }
        role.meters.remove(at: 2)
        role.membership += 1
        for (session, old) in before.enumerated() where old != 2 {
            let new = pick(policy, role, session: UInt64(session)).map { role.meters[$0].serial }
            #expect(new == old)
        }
    }

    @Test("a hot session overflows to other backends before its own is far above the mean")
    func boundedLoad() {
        let policy = SessionPolicy(loadFactor: 1.25)
        let role = TestRole(4)
        for _ in 0..<400 {
            if let index = pick(policy, role, session: 1) { role.meters[index].enter() }
        }
        let most = role.meters.map(\.inFlight).max() ?? 0
        #expect(most <= 126, "\(role.meters.map(\.inFlight))")
    }

    @Test("without a session the least loaded is chosen")
    func noSession() {
        let role = TestRole(3)
        role.load([2, 0, 2])
        #expect(role.counts(SessionPolicy(), picks: 10) == [0, 10, 0])
    }
}
