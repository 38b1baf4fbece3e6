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
    private static let queuedRequestTokens = 800

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
        let speed = typicalSpeed(prefill)
        let prefills = best(of: prefill, using: &generator) {
            prefillCost($0, request, cached: match.tokens(serial: $0.serial), typicalSpeed: speed)
        }
        let pace = typicalPace(decode)
        let decodes = best(of: decode, using: &generator) { decodeCost($0, request, typicalPace: pace) }
        var chosen: PairChoice?
        var least = Double.infinity
        for (from, prefill) in prefills.indices.lazy.map({ ($0, prefills[$0]) }) where prefill.index >= 0 {
            for (to, decode) in decodes.indices.lazy.map({ ($0, decodes[$0]) }) where decode.index >= 0 {
                let seconds = from == to ? tunables.secondsPerTokenWithin : tunables.secondsPerTokenAcross
                let cost = prefill.cost + decode.cost + Double(request.promptTokens) * seconds
                if chosen == nil || cost < least {
                    chosen = PairChoice(prefill: prefill.index, decode: decode.index)
                    least = cost
                }
            }
        }
        guard var chosen else { return nil }
        let serial = prefill[chosen.prefill].serial
        chosen.cachedTokens = min(match.tokens(serial: serial), request.promptTokens)
        index.insert(request.prefixKeys, serial: serial, now: prefill.now)
        return chosen
    }

    /// Chooses one backend by its part of the cost.
    public func pick(
        from candidates: Candidates, isPrefill: Bool, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> Int? {
        guard isPrefill else {
            let pace = typicalPace(candidates)
            return candidates.least(using: &generator) { decodeCost($0, request, typicalPace: pace) }
        }
        let match = index.match(request.prefixKeys, now: candidates.now).valid(among: candidates)
        let speed = typicalSpeed(candidates)
        let chosen = candidates.least(using: &generator) {
            prefillCost($0, request, cached: match.tokens(serial: $0.serial), typicalSpeed: speed)
        }
        if let chosen {
            index.insert(request.prefixKeys, serial: candidates[chosen].serial, now: candidates.now)
        }
        return chosen
    }

    // MARK: Costs

    /// Seconds until the prompt is computed.
    private func prefillCost(
        _ candidate: Candidate, _ request: RequestFacts, cached: Int, typicalSpeed: Double
    ) -> Double {
        let fixed = ThroughputMeter.requestTokens
        let own = max(0, request.promptTokens - cached) + fixed
        let queued =
            candidate.queuedTokens + candidate.inFlight * Self.queuedRequestTokens
            // Other routers' requests are seen only in the engine's own numbers; they are taken to be like this one.
            + candidate.foreign * (request.promptTokens + fixed)
        let speed = Self.significant(candidate.tokensPerSecond ?? typicalSpeed, from: typicalSpeed)
        // Computed elsewhere, the prefix would take room in two caches, and the next turn find it in either.
        let worth = (tunables.cachedTokenWorth - 1) * Double(min(cached, request.promptTokens)) / typicalSpeed
        return Double(own + queued) / (speed * candidate.weight) - worth
    }

    /// Seconds that the decode takes, and that it costs the requests there.
    private func decodeCost(_ candidate: Candidate, _ request: RequestFacts, typicalPace: Double) -> Double {
        let tokens = Double(min(request.outputLimit ?? tunables.expectedTokens, tunables.expectedTokens))
        let running = Double(candidate.inFlight + candidate.foreign)
        let pace = Self.significant(pace(of: candidate) ?? typicalPace, from: typicalPace)
        // A step with one request more is slower for all that run.
        let step = pace * (1 + (running + 1) * tunables.slowdownPerRequest)
        let others = running * pace * tunables.slowdownPerRequest
        var cost = tokens * (step + others)
        if let usage = candidate.cacheUsage, usage > tunables.cacheUsageLimit {
            // A full KV cache preempts: beyond the limit the cost grows without bound.
            cost *= 1 + (usage - tunables.cacheUsageLimit) / max(0.01, 1 - usage)
        }
        if let waiting = candidate.waiting, waiting > 0 {
            cost += Double(waiting) * tokens * step / max(1, running)
        }
        return cost * tunables.decodeWeight / candidate.weight
    }

    /// What engines that are alike are seen to do differs by what they happened to be sent: a small difference is none.
    private static func significant(_ value: Double, from mean: Double) -> Double {
        abs(value - mean) <= 0.15 * mean ? mean : value
    }

    /// A backend's time for a token if it ran one request.
    private func pace(of candidate: Candidate) -> Double? {
        candidate.timePerToken.map { $0.seconds / (1 + $0.running * tunables.slowdownPerRequest) }
    }

    /// What a backend without observations is taken for: the mean of the others, so that a new one is tried, not flooded.
    private func typicalSpeed(_ candidates: Candidates) -> Double {
        mean(candidates, tunables.tokensPerSecond) { $0.tokensPerSecond }
    }

    private func typicalPace(_ candidates: Candidates) -> Double {
        mean(candidates, tunables.secondsPerToken) { pace(of: $0) }
    }

    private func mean(_ candidates: Candidates, _ fallback: Double, _ value: (Candidate) -> Double?) -> Double {
        var sum = 0.0
        var count = 0
        for index in 0..<min(candidates.count, Candidates.maximumScan) {
            guard let value = value(candidates[index]) else { continue }
            sum += value
            count += 1
        }
        return count > 0 ? sum / Double(count) : fallback
    }

    // MARK: The best of each group

    private struct Best {
        var index = -1
        var cost = Double.infinity
    }

    private func best(
        of candidates: Candidates, using generator: inout some RandomNumberGenerator, by cost: (Candidate) -> Double
    ) -> InlineArray<8, Best> {
        var groups = InlineArray<8, Best>(repeating: Best())
        let count = candidates.count
        guard count > 0 else { return groups }
        let first = count == 1 ? 0 : Int.random(in: 0..<count, using: &generator)
        var seen = 0
        for step in 0..<count where seen < Candidates.maximumScan {
            let sum = first + step
            let index = sum < count ? sum : sum - count
            guard candidates.isEligible(index) else { continue }
            let candidate = candidates[index]
            let group = min(max(0, candidate.group), Self.maximumGroups - 1)
            let cost = cost(candidate)
            if groups[group].index < 0 || cost < groups[group].cost { groups[group] = Best(index: index, cost: cost) }
            seen += 1
        }
        return groups
    }
}
