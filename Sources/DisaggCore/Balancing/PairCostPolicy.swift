/// Chooses the pair that is expected to complete the request first, and to slow the others least.
///
/// The cost of a pair is a time in seconds:
///
/// ```
/// prefill   (tokens queued at P + tokens of the prompt that P has not cached) / P's tokens in a second,
///           less what a cached prefix is worth beyond the time that it saves now
/// transfer  prompt tokens x seconds for a token, within a topology group or across
/// decode    expected tokens x (time for a token with this request there + what it adds for each that runs there),
///           times the pressure of D's KV cache, plus the wait behind requests that wait in D
/// ```
///
/// Without a hand-off the decode backend computes the prompt as well: both parts are its own, and of what is queued only prompts
/// count that it has not answered.
///
/// Prefill and decode add up and only the transfer joins them, so the best pair is found without looking at each: the best
/// backend of each group and role, then the best of the groups' pairs.
public final class PairCostPolicy: PairBalancingPolicy {
    /// `pair-cost`
    public let name = "pair-cost"
    /// Lengths, speeds, the engines' own load, and the prompt's blocks.
    public let needs: FactSet = [.tokens, .speed, .engineLoad, .prefixKeys]

    /// Topology groups that are told apart; more of them count as the last.
    package static let maximumGroups = 8

    /// What a request that is open at P counts in tokens beside its own: more than the fixed part of a prefill (512), so that
    /// of two queues of equal length in tokens the one with fewer, longer prompts is taken. Who waits there is fewer.
    static let queuedRequestTokens = 800

    private let tunables: PairCostTunables
    package let index: PrefixIndex

    /// Creates the policy.
    public init(_ tunables: PairCostTunables = PairCostTunables()) {
        self.tunables = tunables
        index = PrefixIndex(
            maximumBlocks: tunables.maximumBlocks, lifetime: tunables.lifetime.nanoseconds)
    }

    /// Chooses a pair and remembers that the prefill backend is sent the prompt.
    public func pickPair(
        prefill: Candidates, decode: Candidates, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> PairChoice? {
        let match = index.match(request.prefixKeys, now: prefill.now).valid(among: prefill)
        let prefillCost = PrefillCost(request, match, prefill, tunables)
        let decodeCost = DecodeCost(request, decode, tunables)
        let prefills = best(of: prefill, using: &generator) { prefillCost.seconds($0) }
        let decodes = best(of: decode, using: &generator) { decodeCost.seconds($0) }
        var chosen: PairChoice?
        var least = Double.infinity
        for from in 0..<Self.maximumGroups where prefills[from].index >= 0 {
            for to in 0..<Self.maximumGroups where decodes[to].index >= 0 {
                let seconds = from == to ? tunables.secondsPerTokenWithin : tunables.secondsPerTokenAcross
                let cost = prefills[from].cost + decodes[to].cost + Double(request.promptTokens) * seconds
                if chosen == nil || cost < least {
                    chosen = PairChoice(prefill: prefills[from].index, decode: decodes[to].index)
                    least = cost
                }
            }
        }
        guard var chosen else { return nil }
        let serial = prefill.meters[chosen.prefill].serial
        chosen.cachedTokens = min(match.tokens(serial: serial), request.promptTokens)
        index.insert(request.prefixKeys, serial: serial, now: prefill.now)
        return chosen
    }

    /// Chooses the decode backend for which the prefill's and the decode's part of the cost add up to the least, and remembers
    /// that it is sent the prompt.
    public func pickAlone(
        from decode: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> AloneChoice? {
        let match = index.match(request.prefixKeys, now: decode.now).valid(among: decode)
        let prefillCost = PrefillCost(request, match, decode, tunables)
        let decodeCost = DecodeCost(request, decode, tunables)
        let chosen = decode.leastMeter(using: &generator) {
            prefillCost.seconds($0, queue: .prompts) + decodeCost.seconds($0, queue: .prompts)
        }
        guard let chosen else { return nil }
        let serial = decode.meters[chosen].serial
        index.insert(request.prefixKeys, serial: serial, now: decode.now)
        return AloneChoice(decode: chosen, cachedTokens: min(match.tokens(serial: serial), request.promptTokens))
    }

    /// Chooses one backend by its part of the cost.
    public func pick(
        from candidates: Candidates, isPrefill: Bool, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> Int? {
        guard isPrefill else {
            let cost = DecodeCost(request, candidates, tunables)
            return candidates.leastMeter(using: &generator) { cost.seconds($0) }
        }
        let match = index.match(request.prefixKeys, now: candidates.now).valid(among: candidates)
        let cost = PrefillCost(request, match, candidates, tunables)
        let chosen = candidates.leastMeter(using: &generator) { cost.seconds($0) }
        if let chosen {
            index.insert(request.prefixKeys, serial: candidates.meters[chosen].serial, now: candidates.now)
        }
        return chosen
    }

    // MARK: The best of each group

    private struct Best {
        var index = -1
        var cost = Double.infinity
    }

    @inline(__always)
    private func best(
        of candidates: Candidates, using generator: inout some RandomNumberGenerator, by cost: (BackendMeter) -> Double
    ) -> InlineArray<8, Best> {
        var groups = InlineArray<8, Best>(repeating: Best())
        candidates.forEachEligible(using: &generator) { index, meter in
            let group = min(max(0, meter.group), Self.maximumGroups - 1)
            let cost = cost(meter)
            if groups[group].index < 0 || cost < groups[group].cost { groups[group] = Best(index: index, cost: cost) }
        }
        return groups
    }
}
