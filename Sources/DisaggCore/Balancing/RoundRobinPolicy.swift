internal import Synchronization

/// Backends in turn. Exact under concurrency: one counter for all event loops.
public final class RoundRobinPolicy: LoadBalancingPolicy {
    /// `round-robin`
    public let name = "round-robin"
    private let turn = Atomic<Int>(0)

    /// Creates a policy that begins with the first backend.
    public init() {}

    /// Chooses the next eligible backend; constant time where all are eligible.
    public func pick(count: Int, isEligible: (Int) -> Bool) -> Int? {
        guard count > 0 else { return nil }
        let first = turn.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max
        for step in 0..<count {
            let index = (first % count + step) % count
            if isEligible(index) { return index }
        }
        return nil
    }
}
