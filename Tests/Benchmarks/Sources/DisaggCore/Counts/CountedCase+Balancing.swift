internal import NIOCore

/// The choice of a backend.
extension CountedCase {
    static var balancing: [CountedCase] {
        [
            CountedCase("pick.pool-of-8", operations: 2000) {
                let pool = CountedInput.proxy(.nixl, replicas: 8).pool
                let now = NIODeadline.now()
                return { keep(pool.pick(.decode, excluding: [], at: now)) }
            },
            CountedCase("pick.round-robin", operations: 2000) {
                let policy: any LoadBalancingPolicy = RoundRobinPolicy()
                return { keep(policy.pick(count: 8) { _ in true }) }
            },
        ]
    }
}
