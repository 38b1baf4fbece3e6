/// The backend with the fewest prompt tokens under way in relation to its weight: for prefill, where one long prompt is as
/// much work as many short ones.
public struct LeastTokensPolicy: LoadBalancingPolicy {
    /// `least-tokens`
    public let name = "least-tokens"
    /// The prompt's length, and what is under way.
    public let needs: FactSet = .tokens

    /// Creates the policy.
    public init() {}

    /// Chooses a backend.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        candidates.leastMeter(using: &generator) { meter in
            Double(meter.queuedTokens + request.promptTokens + ThroughputMeter.requestTokens * meter.inFlight)
                / meter.share(at: candidates.now)
        }
    }
}
