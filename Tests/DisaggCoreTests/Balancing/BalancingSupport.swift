@testable import DisaggCore

/// Backends of one role without engines.
struct TestRole {
    static let second: UInt64 = 1_000_000_000

    let totals = RoleTotals()
    var meters: [BackendMeter]
    var now: UInt64 = 1000 * TestRole.second
    var membership = 1

    init(_ count: Int, groups: [Int] = [], chunks: Int? = nil) {
        let totals = totals
        meters = (0..<count).map { index in
            BackendMeter(
                serial: index, group: groups.isEmpty ? 0 : groups[index], totals: totals,
                budget: ChunkBudget(capacity: chunks))
        }
    }

    func candidates(excluding excluded: [Int] = [], chunks: Int = 0, despiteHealth: Bool = false) -> Candidates {
        Candidates(
            meters, now: now, membership: membership, excluding: excluded, chunks: chunks, despiteHealth: despiteHealth)
    }

    /// Sets the numbers of open requests.
    func load(_ counts: [Int], tokens: [Int] = []) {
        for (index, count) in counts.enumerated() {
            for _ in 0..<count { meters[index].enter() }
            if tokens.indices.contains(index), count > 0 {
                meters[index].leave()
                meters[index].enter(tokens: tokens[index])
            }
        }
    }

    /// How often each backend is chosen.
    func counts(
        _ policy: some LoadBalancingPolicy, picks: Int, facts: RequestFacts = RequestFacts(), seed: UInt64 = 1
    ) -> [Int] {
        var generator = SeededGenerator(seed: seed)
        var counts = [Int](repeating: 0, count: meters.count)
        for _ in 0..<picks {
            if let index = policy.pick(from: candidates(), for: facts, using: &generator) { counts[index] += 1 }
        }
        return counts
    }
}
