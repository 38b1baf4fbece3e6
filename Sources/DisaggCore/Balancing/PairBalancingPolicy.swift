/// Chooses a prefill and a decode backend together.
public protocol PairBalancingPolicy: Sendable {
    /// Its name in the deployment file and in metrics.
    var name: String { get }

    /// The facts that its picks read.
    var needs: FactSet { get }

    /// Chooses a pair.
    ///
    /// - Returns: the indices of two eligible candidates; nil where a role has none.
    func pickPair(
        prefill: Candidates, decode: Candidates, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> PairChoice?

    /// Chooses a decode backend that computes the prompt, too: the request has no hand-off. Where a policy does not say, the
    /// decode half of its choice.
    ///
    /// - Returns: the index of an eligible candidate, and the prompt's tokens that it is thought to have cached; nil where there
    ///   is none.
    func pickAlone(
        from decode: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> AloneChoice?

    /// Chooses one backend of a role alone: a retry whose other half stands.
    ///
    /// - Parameter isPrefill: which role the candidates have.
    func pick(
        from candidates: Candidates, isPrefill: Bool, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> Int?
}

/// A decode backend that a policy chose for a request without hand-off.
public struct AloneChoice: Sendable, Hashable {
    /// Index of the candidate.
    public var decode: Int
    /// Tokens of the prompt that the backend is thought to have cached.
    public var cachedTokens: Int

    /// Creates a choice.
    public init(decode: Int, cachedTokens: Int = 0) {
        self.decode = decode
        self.cachedTokens = cachedTokens
    }
}

extension PairBalancingPolicy {
    /// The decode half of the choice.
    public func pickAlone(
        from decode: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> AloneChoice? {
        pick(from: decode, isPrefill: false, for: request, using: &generator).map { AloneChoice(decode: $0) }
    }
}
