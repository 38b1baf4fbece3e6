/// A token with its log probability and those of the tokens that were not chosen.
package struct SampledToken: Sendable, Hashable {
    package var token: Int
    /// Natural logarithm; nil for the first token of an echoed prompt.
    package var logprob: Double?
    /// The most probable tokens, best first; the chosen one is among them where at least one was asked for.
    package var top: [Alternative] = []

    /// One entry of the list.
    package struct Alternative: Sendable, Hashable {
        package var token: Int
        package var logprob: Double
    }
}

/// Picks the next token as a pure function of the history, the choice's index and the seed.
package struct TokenSampler: Sendable {
    /// How often the end of the text is picked, 0...1.
    var endProbability: Double
    /// Mixed into every pick: the choice's index among `n`, and the seed where the temperature lets it matter.
    var salt: UInt64
    /// Tokens that may not be picked while below `min_tokens`.
    var stopTokens: Set<Int> = []
    /// Entries wanted in ``SampledToken/top``.
    var topCount = 0
    var vocabulary = SimulatedVocabulary.shared

    /// - Parameters:
    ///   - choice: index of the choice among the `n` of one prompt.
    ///   - seed: the request's seed; nil where it must not matter (none given, or temperature 0).
    package init(endProbability: Double, choice: Int, seed: Int?, stopTokens: Set<Int> = [], topCount: Int = 0) {
        self.endProbability = endProbability
        self.stopTokens = stopTokens
        self.topCount = topCount
        salt = TokenHistory.mix(UInt64(truncatingIfNeeded: choice))
        if let seed { salt ^= TokenHistory.mix(UInt64(truncatingIfNeeded: seed) ^ 0xA5A5) }
    }

    /// The next token.
    ///
    /// - Parameters:
    ///   - allowEnd: false under `ignore_eos`: the end of the text is then never picked.
    ///   - allowStop: false below `min_tokens`: neither the end nor a stop token is then picked.
    package func next(_ history: TokenHistory, allowEnd: Bool, allowStop: Bool = true) -> SampledToken {
        let draw = TokenHistory.mix(history.hash ^ salt)
        var picked: Int?
        if allowEnd, allowStop, Double(draw >> 11) * 0x1p-53 < endProbability {
            picked = SimulatedVocabulary.endOfText
        }
        var attempt: UInt64 = 1
        while picked == nil {
            let token = candidate(TokenHistory.mix(draw &+ attempt), pending: history.pending)
            attempt += 1
            // A client can forbid everything; after many tries its stop list loses.
            if allowStop || !stopTokens.contains(token) || attempt > 200 { picked = token }
        }
        let token = picked ?? 0
        let logprob = -Double(draw % 4_000 + 1) / 1_000
        return SampledToken(
            token: token, logprob: logprob, top: alternatives(to: token, logprob, draw, history.pending))
    }

    /// The log probability a prompt's token gets under `echo`.
    package func score(_ token: Int, after history: TokenHistory) -> SampledToken {
        let draw = TokenHistory.mix(history.hash ^ UInt64(truncatingIfNeeded: token))
        let logprob = -Double(draw % 9_000 + 1) / 1_000
        return SampledToken(
            token: token, logprob: logprob, top: alternatives(to: token, logprob, draw, history.pending))
    }

    private func alternatives(to token: Int, _ logprob: Double, _ draw: UInt64, _ pending: [UInt8])
        -> [SampledToken.Alternative]
    {
        guard topCount > 0 else { return [] }
        var result = [SampledToken.Alternative(token: token, logprob: logprob)]
        var seed = TokenHistory.mix(draw ^ 0x70_70)
        while result.count < topCount {
            seed = TokenHistory.mix(seed)
            let other = candidate(seed, pending: pending)
            if result.contains(where: { $0.token == other }) { continue }
            result.append(.init(token: other, logprob: logprob - Double(result.count) / 8))
        }
        return result
    }

    /// Mostly words; some CJK, emoji and halves of characters, whose other half follows nine times in ten.
    private func candidate(_ random: UInt64, pending: [UInt8]) -> Int {
        let kind = random % 100
        let pick = random >> 8
        func one(_ tokens: [Int]) -> Int { tokens[Int(pick % UInt64(tokens.count))] }
        if !pending.isEmpty, kind < 90 {
            let fitting = vocabulary.splitCharacters.filter { $0.count > pending.count && $0.starts(with: pending) }
            if !fitting.isEmpty { return Int(fitting[Int(pick % UInt64(fitting.count))][pending.count]) }
        }
        switch kind {
        case ..<66: return one(vocabulary.spacedWords)
        case ..<70: return one(vocabulary.bareWords)
        case ..<78: return one(vocabulary.punctuation)
        case ..<86: return one(vocabulary.ideographs)
        case ..<92: return one(vocabulary.emoji)
        default: return one(vocabulary.partials)
        }
    }
}
