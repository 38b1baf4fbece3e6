/// Requests go where their prompt's beginning was computed last, as far as load allows.
///
/// What engines hold is guessed from what they were sent, see ``PrefixIndex``; nothing is asked of them.
public final class PrefixCachePolicy: LoadBalancingPolicy {
    /// `prefix-cache`
    public let name = "prefix-cache"
    /// The prompt's blocks and length.
    public let needs: FactSet = [.prefixKeys, .tokens]

    package let index: PrefixIndex
    private let choice: CacheAwareChoice

    /// Creates the policy.
    public init(_ settings: PrefixCacheSettings = PrefixCacheSettings()) {
        index = PrefixIndex(maximumBlocks: settings.maximumBlocks, lifetime: settings.lifetime.nanoseconds)
        choice = CacheAwareChoice(minimumShare: settings.minimumShare, loadFactor: settings.loadFactor)
    }

    /// Chooses a backend and remembers that it is sent the prompt.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        let match = index.match(request.prefixKeys, now: candidates.now)
        let chosen = choice.choose(
            match.valid(among: candidates), among: candidates, promptTokens: request.promptTokens, using: &generator)
        if let chosen {
            index.insert(request.prefixKeys, serial: candidates[chosen].serial, now: candidates.now)
        }
        return chosen
    }
}
