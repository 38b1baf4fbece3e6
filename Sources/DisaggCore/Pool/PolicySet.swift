/// The policies of a pool: one that chooses pairs, or one for each role.
package struct PolicySet: Sendable {
    package let prefill: any LoadBalancingPolicy
    package let decode: any LoadBalancingPolicy
    /// Chooses both together; nil where each role has its own.
    package let pair: (any PairBalancingPolicy)?

    /// Chooses for a request without hand-off; nil where ``decode`` does.
    package let alone: (any PairBalancingPolicy)?

    /// The facts of all picks.
    package let needs: FactSet

    package init(
        prefill: any LoadBalancingPolicy, decode: any LoadBalancingPolicy, pair: (any PairBalancingPolicy)? = nil
    ) {
        self.prefill = prefill
        self.decode = decode
        self.pair = pair
        alone = pair ?? (decode as? PairHalfPolicy)?.pair
        needs = pair?.needs ?? prefill.needs.union(decode.needs)
    }

    /// The policies a deployment names. `pair-cost` for one role alone chooses by that role's part of the cost.
    package init(_ routing: RoutingSettings) {
        if routing.prefill.policy == .pairCost, routing.decode.policy == .pairCost {
            let pair = PairCostPolicy(routing.pairCost)
            self.init(
                prefill: PairHalfPolicy(pair, isPrefill: true), decode: PairHalfPolicy(pair, isPrefill: false),
                pair: pair)
        } else {
            self.init(
                prefill: Self.policy(routing.prefill.policy, .prefill, routing),
                decode: Self.policy(routing.decode.policy, .decode, routing))
        }
    }

    /// A set with other policies for one role or both; then neither is chosen for the other's sake.
    package func replacing(
        prefill: (any LoadBalancingPolicy)?, decode: (any LoadBalancingPolicy)?
    ) -> PolicySet {
        guard prefill != nil || decode != nil else { return self }
        return PolicySet(prefill: prefill ?? self.prefill, decode: decode ?? self.decode)
    }

    private static func policy(
        _ kind: PolicyKind, _ role: BackendRole, _ routing: RoutingSettings
    ) -> any LoadBalancingPolicy {
        switch kind {
        case .roundRobin: RoundRobinPolicy()
        case .random: RandomPolicy()
        case .leastLoaded: LeastLoadedPolicy()
        case .powerOfTwo: PowerOfTwoPolicy()
        case .leastTokens: LeastTokensPolicy()
        case .session: SessionPolicy(loadFactor: routing.session.loadFactor)
        case .prefixCache: PrefixCachePolicy(routing.prefixCache)
        case .kvEvents: KVEventsPolicy(routing.prefixCache)
        case .pairCost: PairHalfPolicy(PairCostPolicy(routing.pairCost), isPrefill: role == .prefill)
        }
    }
}
