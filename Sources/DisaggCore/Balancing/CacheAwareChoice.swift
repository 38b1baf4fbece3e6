/// Weighs a cached prefix against load, for the policies that know caches.
package struct CacheAwareChoice: Sendable {
    /// Part of the prompt that must be cached for it to count, 0...1.
    package var minimumShare: Double
    /// A cached backend is passed over while its load is above the mean times this, plus ``loadSlack``.
    package var loadFactor: Double
    /// Open requests above the mean that are tolerated in any case.
    package var loadSlack = 2.0

    package init(minimumShare: Double, loadFactor: Double) {
        self.minimumShare = minimumShare
        self.loadFactor = loadFactor
    }

    /// The eligible backend that holds the most, if it is worth it; else the least loaded one.
    package func choose(
        _ match: PrefixMatch, among candidates: Candidates, promptTokens: Int,
        using generator: inout some RandomNumberGenerator
    ) -> Int? {
        guard candidates.count > 0 else { return nil }
        let mean = Double(candidates.totalInFlight) / Double(candidates.count)
        var best: Int?
        var bestTokens = max(1, Int(minimumShare * Double(promptTokens)))
        for position in 0..<match.count {
            let holder = match.holders[position]
            guard holder.tokens >= bestTokens, let index = candidates.index(ofSerial: holder.serial),
                candidates.isEligible(index)
            else { continue }
            let candidate = candidates[index]
            guard Double(candidate.inFlight) / candidate.weight <= mean * loadFactor + loadSlack else { continue }
            if let other = best, holder.tokens == bestTokens, candidates[other].load <= candidate.load { continue }
            best = index
            bestTokens = holder.tokens
        }
        return best ?? candidates.leastMeter(using: &generator) { $0.load(at: candidates.now) }
    }
}
