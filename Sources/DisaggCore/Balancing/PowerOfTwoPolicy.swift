/// The less loaded of two random backends: nearly as even as the least loaded, in constant time, and without the herd that
/// follows one least loaded backend when many proxies see the same numbers.
///
/// Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996.
public struct PowerOfTwoPolicy: LoadBalancingPolicy {
    /// `power-of-two`
    public let name = "power-of-two"
    private static let draws = 8

    /// Creates the policy.
    public init() {}

    /// Chooses a backend; constant time where most are eligible.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        let count = candidates.count
        guard count > 1 else { return count == 1 && candidates.isEligible(0) ? 0 : nil }
        var first: Int?
        for _ in 0..<Self.draws {
            let index = generator.index(below: count)
            guard index != first, candidates.isEligible(index) else { continue }
            guard let other = first else {
                first = index
                continue
            }
            return candidates[index].load < candidates[other].load ? index : other
        }
        return first ?? candidates.leastMeter(using: &generator) { $0.load(at: candidates.now) }
    }
}
