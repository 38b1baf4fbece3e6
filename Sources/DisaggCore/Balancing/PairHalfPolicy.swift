/// One half of a pair policy, for picks in which the other half is given.
package struct PairHalfPolicy: LoadBalancingPolicy {
    package let pair: any PairBalancingPolicy
    private let isPrefill: Bool

    package init(_ pair: any PairBalancingPolicy, isPrefill: Bool) {
        self.pair = pair
        self.isPrefill = isPrefill
    }

    package var name: String { pair.name }
    package var needs: FactSet { pair.needs }

    package func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        pair.pick(from: candidates, isPrefill: isPrefill, for: request, using: &generator)
    }
}
