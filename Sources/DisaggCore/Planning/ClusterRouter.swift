/// Chooses the engines of each simulated request: where the policies of the running proxy can be put in.
package protocol ClusterRouter {
    /// Chooses a prefill and a decode engine; for a cluster without prefill engines, the decode engine alone.
    ///
    /// - Parameter now: the simulation's time, in ms.
    /// - Returns: indices within the roles.
    mutating func route(_ request: WorkloadRequest, at now: Double) -> (prefill: Int, decode: Int)

    /// A prefill engine has answered a request it was routed to.
    mutating func prefillEnded(_ index: Int, _ request: WorkloadRequest, at now: Double)

    /// A decode engine has answered a request it was routed to.
    mutating func decodeEnded(_ index: Int, _ request: WorkloadRequest, at now: Double)
}

/// Engines in turn: what LMCache's own proxy does, and the cheapest to simulate.
package struct TurnRouter: ClusterRouter {
    private let prefills: Int
    private let decodes: Int
    private var turn = 0

    /// Creates a router over that many engines of each role.
    package init(prefills: Int, decodes: Int) {
        self.prefills = max(1, prefills)
        self.decodes = max(1, decodes)
    }

    package mutating func route(_ request: WorkloadRequest, at now: Double) -> (prefill: Int, decode: Int) {
        defer { turn += 1 }
        return (turn % prefills, turn % decodes)
    }

    package mutating func prefillEnded(_ index: Int, _ request: WorkloadRequest, at now: Double) {}
    package mutating func decodeEnded(_ index: Int, _ request: WorkloadRequest, at now: Double) {}
}
