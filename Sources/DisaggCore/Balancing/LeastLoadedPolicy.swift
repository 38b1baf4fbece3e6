/// The backend with the fewest open requests in relation to its weight; a random one of equals.
///
/// Exact up to ``Candidates/maximumScan`` eligible backends, the least of that many beyond.
public struct LeastLoadedPolicy: LoadBalancingPolicy {
    /// `least-loaded`
    public let name = "least-loaded"

    /// Creates the policy.
    public init() {}

    /// Chooses a backend.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        candidates.leastMeter(using: &generator) { $0.load(at: candidates.now) }
    }
}
