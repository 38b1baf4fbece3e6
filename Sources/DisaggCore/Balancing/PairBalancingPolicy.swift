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

    /// Chooses one backend of a role alone: a request without hand-off, or a retry whose other half stands.
    ///
    /// - Parameter isPrefill: which role the candidates have.
    func pick(
        from candidates: Candidates, isPrefill: Bool, for request: RequestFacts,
        using generator: inout some RandomNumberGenerator
    ) -> Int?
}
