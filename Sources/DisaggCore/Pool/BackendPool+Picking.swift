package import NIOCore

extension BackendPool {
    /// Chooses a pair: together where the policy can, else the decoder first.
    ///
    /// - Parameter members: those to choose among; the present ones where nil.
    package func pickPair(
        in members: PoolSnapshot? = nil, for request: RequestFacts, _ constraints: PickConstraints, at now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> PickResult<PickedPair> {
        let snapshot = members ?? snapshot
        if let pair = policies.pair {
            let time = now.uptimeNanoseconds
            let prefill = candidates(.prefill, snapshot, constraints, time)
            let decode = candidates(.decode, snapshot, constraints, time)
            if let choice = pair.pickPair(prefill: prefill, decode: decode, for: request, using: &generator),
                let chosen = Self.checked(choice.prefill, prefill, snapshot.prefill),
                let partner = Self.checked(choice.decode, decode, snapshot.decode)
            {
                return .chosen(PickedPair(prefill: chosen, decode: partner, cachedTokens: choice.cachedTokens))
            }
        }
        switch pick(.decode, in: snapshot, for: request, constraints, at: now, using: &generator) {
        case .none: return .none
        case .full: return .full
        case .chosen(let decode):
            return pick(.prefill, in: snapshot, for: request, constraints, at: now, using: &generator)
                .map { PickedPair(prefill: $0, decode: decode) }
        }
    }

    /// Chooses a decode backend for a request without hand-off: it computes the prompt, too.
    ///
    /// - Parameter members: those to choose among; the present ones where nil.
    package func pickAlone(
        in members: PoolSnapshot? = nil, for request: RequestFacts, _ constraints: PickConstraints, at now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> PickResult<PickedPair> {
        let snapshot = members ?? snapshot
        if let policy = policies.alone {
            let candidates = candidates(.decode, snapshot, constraints, now.uptimeNanoseconds)
            if let choice = policy.pickAlone(from: candidates, for: request, using: &generator),
                let chosen = Self.checked(choice.decode, candidates, snapshot.decode)
            {
                return .chosen(PickedPair(prefill: nil, decode: chosen, cachedTokens: choice.cachedTokens))
            }
        }
        return pick(.decode, in: snapshot, for: request, constraints, at: now, using: &generator)
            .map { PickedPair(prefill: nil, decode: $0) }
    }

    /// Chooses a backend of one role.
    ///
    /// - Parameter members: those to choose among; the present ones where nil.
    package func pick(
        _ role: BackendRole, in members: PoolSnapshot? = nil, for request: RequestFacts, _ constraints: PickConstraints,
        at now: NIODeadline, using generator: inout some RandomNumberGenerator
    ) -> PickResult<BackendState> {
        let snapshot = members ?? snapshot
        let time = now.uptimeNanoseconds
        let policy = role == .prefill ? policies.prefill : policies.decode
        let candidates = candidates(role, snapshot, constraints, time)
        if let index = policy.pick(from: candidates, for: request, using: &generator),
            let chosen = Self.checked(index, candidates, snapshot.backends(role))
        {
            return .chosen(chosen)
        }
        return pickDespite(role, in: snapshot, for: request, constraints, time, using: &generator)
    }

    /// No backend can be had in the ordinary way: tells why, and tries one that is down where that is wished.
    private func pickDespite(
        _ role: BackendRole, in snapshot: PoolSnapshot, for request: RequestFacts, _ constraints: PickConstraints,
        _ time: UInt64, using generator: inout some RandomNumberGenerator
    ) -> PickResult<BackendState> {
        let tried = constraints.serials(role)
        let untried = snapshot.meters(role).filter { !tried.contains($0.serial) && !$0.blocks.contains(.draining) }
        guard !untried.isEmpty else { return .none }
        if untried.contains(where: {
            $0.isHealthy(at: time) && !$0.isEligible(at: time)
                || !$0.budget.hasRoom(constraints.chunks) && $0.isHealthy(at: time)
        }) {
            return .full
        }
        guard routing.whenAllDown == .tryAnyway else { return .none }
        let candidates = Candidates(
            snapshot.meters(role), now: time, membership: snapshot.generation, excluding: tried,
            chunks: role == .decode ? constraints.chunks : 0, despiteHealth: true)
        let policy = role == .prefill ? policies.prefill : policies.decode
        if let index = policy.pick(from: candidates, for: request, using: &generator),
            let chosen = Self.checked(index, candidates, snapshot.backends(role))
        {
            return .chosen(chosen)
        }
        return .full
    }

    private func candidates(
        _ role: BackendRole, _ snapshot: PoolSnapshot, _ constraints: PickConstraints, _ time: UInt64
    ) -> Candidates {
        Candidates(
            snapshot.meters(role), now: time, membership: snapshot.generation,
            excluding: constraints.serials(role), chunks: role == .decode ? constraints.chunks : 0)
    }

    /// A policy may be anybody's: what it chose is used only where it may be chosen.
    private static func checked(
        _ index: Int, _ candidates: Candidates, _ states: [BackendState]
    ) -> BackendState? {
        states.indices.contains(index) && candidates.isEligible(index) ? states[index] : nil
    }
}
