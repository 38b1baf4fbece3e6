package import NIOCore

/// The backends of a deployment and the policies that choose among them.
package final class BackendPool: Sendable {
    package let prefill: [BackendState]
    package let decode: [BackendState]
    private let prefillPolicy: any LoadBalancingPolicy
    private let decodePolicy: any LoadBalancingPolicy

    /// How long a backend whose port refused a connection is left out. Short: a restarted engine is found at once, and
    /// where all are out, all are tried again.
    package static let ejection = TimeAmount.seconds(1)

    package init(
        prefill: [Backend], decode: [Backend], prefillPolicy: any LoadBalancingPolicy = RoundRobinPolicy(),
        decodePolicy: any LoadBalancingPolicy = RoundRobinPolicy()
    ) {
        self.prefill = prefill.map(BackendState.init)
        self.decode = decode.map(BackendState.init)
        self.prefillPolicy = prefillPolicy
        self.decodePolicy = decodePolicy
    }

    /// The backends of one role.
    package func backends(_ role: BackendRole) -> [BackendState] { role == .prefill ? prefill : decode }

    /// Chooses a backend of a role.
    ///
    /// - Parameter tried: backends that failed this request already; they come last.
    /// - Returns: nil where every backend of the role was tried.
    package func pick(_ role: BackendRole, excluding tried: [BackendState], at now: NIODeadline) -> BackendState? {
        let candidates = backends(role)
        guard !candidates.isEmpty else { return nil }
        let policy = role == .prefill ? prefillPolicy : decodePolicy
        func untried(_ index: Int) -> Bool { !tried.contains { $0 === candidates[index] } }
        let chosen =
            policy.pick(count: candidates.count) { untried($0) && candidates[$0].isAvailable(at: now) }
            ?? candidates.indices.first { untried($0) }
        return chosen.map { candidates[$0] }
    }
}
