/// Requests go where most of their prompt is cached, as the engines themselves say (vLLM's KV events), as far as load allows.
///
/// Exact for prompts of token ids. Engines name tokens, not text, so a text prompt, and an engine without events, are
/// judged by what was sent there, as `prefix-cache` does.
public final class KVEventsPolicy: LoadBalancingPolicy {
    /// `kv-events`
    public let name = "kv-events"
    /// Token ids, and blocks of text.
    public let needs: FactSet = [.tokenIDs, .prefixKeys, .tokens]

    package let events: KVEventIndex
    private let index: PrefixIndex
    private let choice: CacheAwareChoice

    /// Creates the policy.
    public init(_ settings: PrefixCacheSettings = PrefixCacheSettings()) {
        events = KVEventIndex(maximumBlocks: settings.maximumBlocks)
        index = PrefixIndex(maximumBlocks: settings.maximumBlocks, lifetime: settings.lifetime.nanoseconds)
        choice = CacheAwareChoice(minimumShare: settings.minimumShare, loadFactor: settings.loadFactor)
    }

    /// Chooses a backend and remembers that it is sent the prompt.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        let guess = index.match(request.prefixKeys, now: candidates.now).valid(among: candidates)
        let match = request.tokenIDs.isEmpty ? guess : exact(candidates, request, guess)
        let chosen = choice.choose(match, among: candidates, promptTokens: request.promptTokens, using: &generator)
        if let chosen {
            index.insert(request.prefixKeys, serial: candidates[chosen].serial, now: candidates.now)
        }
        return chosen
    }

    /// Tokens of a prompt of token ids that an engine says it holds; nil where it says nothing.
    package func heldTokens(_ request: RequestFacts, serial: Int) -> Int? {
        guard !request.tokenIDs.isEmpty else { return nil }
        var keys: (blockSize: Int, keys: [UInt64]) = (0, [])
        return events.heldTokens(request, serial: serial, keys: &keys)
    }

    /// What the engines hold; of those that say nothing, what is guessed.
    private func exact(_ candidates: Candidates, _ request: RequestFacts, _ guess: PrefixMatch) -> PrefixMatch {
        var match = PrefixMatch()
        var keys: (blockSize: Int, keys: [UInt64]) = (0, [])
        for index in 0..<min(candidates.count, Candidates.maximumScan) where candidates.isEligible(index) {
            let serial = candidates[index].serial
            let held = events.heldTokens(request, serial: serial, keys: &keys) ?? guess.tokens(serial: serial)
            if held > 0 { match.noteBest(serial: serial, tokens: held) }
        }
        return match
    }
}
