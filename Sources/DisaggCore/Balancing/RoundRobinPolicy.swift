internal import Synchronization

/// Backends in turn. Exact under concurrency: one counter for all event loops.
///
/// Where weights differ, a backend's turn is passed over with the probability that it lacks to the full weight.
public final class RoundRobinPolicy: LoadBalancingPolicy {
    /// `round-robin`
    public let name = "round-robin"
    private let turn = Atomic<Int>(0)

    /// Creates a policy that begins with the first backend.
    public init() {}

    /// Chooses the next eligible backend; constant time where most are eligible.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        let count = candidates.count
        guard count > 0 else { return nil }
        // Who is passed over costs a turn of its own: its share goes to all others, not to its neighbour.
        for _ in 0..<2 * count {
            let index = (turn.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max) % count
            guard candidates.isEligible(index) else { continue }
            let weight = candidates[index].weight
            if weight >= 1 || generator.share() < weight { return index }
        }
        return candidates.leastMeter(using: &generator) { _ in 0 }
    }
}
