internal import NIOCore

/// The choice of a backend, with eight of them.
extension CountedCase {
    static var balancing: [CountedCase] {
        [
            CountedCase("pick.pool-of-8", operations: 2000) {
                let pool = CountedInput.proxy(.nixl, replicas: 8).pool
                var generator = RandomPool()
                let now = NIODeadline.now()
                return {
                    keep(pool.pick(.decode, for: RequestFacts(), PickConstraints(), at: now, using: &generator))
                }
            },
            CountedCase("pick.pair-of-8", operations: 2000) {
                let pool = CountedInput.proxy(.nixl, replicas: 8).pool
                var generator = RandomPool()
                let now = NIODeadline.now()
                return { keep(pool.pickPair(for: RequestFacts(), PickConstraints(), at: now, using: &generator)) }
            },
            policy("round-robin", RoundRobinPolicy()),
            policy("random", RandomPolicy()),
            policy("least-loaded", LeastLoadedPolicy()),
            policy("power-of-two", PowerOfTwoPolicy()),
            policy("least-tokens", LeastTokensPolicy()),
            policy("session", SessionPolicy()),
            policy("prefix-cache", PrefixCachePolicy()),
        ]
    }

    private static func policy(_ name: String, _ policy: any LoadBalancingPolicy) -> CountedCase {
        CountedCase("pick." + name, operations: 2000) {
            let totals = RoleTotals()
            let meters = (0..<8).map { BackendMeter(serial: $0, totals: totals) }
            let candidates = Candidates(meters, now: 1_000_000_000)
            var facts = RequestFacts()
            facts.promptTokens = 1000
            facts.sessionKey = 0x9E37_79B9_7F4A_7C15
            facts.prefixKeys = (1...12).map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }
            var generator = RandomPool()
            return { keep(policy.pick(from: candidates, for: facts, using: &generator)) }
        }
    }
}
