/// Any eligible backend, each with the probability of its weight.
public struct RandomPolicy: LoadBalancingPolicy {
    /// `random`
    public let name = "random"
    /// Draws before the rest is searched in order: enough where most backends are eligible.
    private static let draws = 8

    /// Creates the policy.
    public init() {}

    /// Chooses a backend; constant time where most are eligible.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        let count = candidates.count
        guard count > 0 else { return nil }
        for _ in 0..<Self.draws {
            let index = generator.index(below: count)
            guard candidates.isEligible(index) else { continue }
            let weight = candidates[index].weight
            if weight >= 1 || generator.share() < weight { return index }
        }
        return candidates.leastMeter(using: &generator) { _ in 0 }
    }
}
