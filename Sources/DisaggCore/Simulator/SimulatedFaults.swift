/// Faults to inject; each number counts down as it strikes.
package struct SimulatedFaults: Sendable, Hashable {
    /// Notifications never sent.
    package var dropNotifications = 0
    /// Milliseconds each notification waits.
    package var delayNotification = 0
    /// Notifications sent twice.
    package var duplicateNotifications = 0
    /// Generation requests answered with ``refuseStatus``.
    package var refuse = 0
    /// HTTP status of refused requests.
    package var refuseStatus = 503
    /// Generation requests that are never answered.
    package var hang = 0
    /// Tokens after which the engine dies, counted in the next generation request.
    package var dieAfterTokens: Int?
    /// Generation requests of which the engine dies as soon as they arrive.
    package var dieOnRequest = 0
    /// Offers of KV that run out at once.
    package var expireOffers = 0
    /// Engines that share it are struck no oftener than it says, all together; nil where each engine's own counts hold.
    package var budget: FaultBudget?
    /// While true no prefill ends: tests use it to act in the middle of one.
    package var holdPrefills = false
    /// While true no decode step runs.
    package var holdDecodes = false
    /// Dies at once: the listener closes and all connections are reset.
    package var die = false
    /// Dies at once where a fault has left requests without an answer: the hung process is killed.
    package var dieIfHung = false
    /// Closes connections that are idle now.
    package var closeIdle = false

    package init() {}

    /// Takes over the members of a `POST /sim/faults` body; names not known are left out.
    mutating func merge(_ view: JSONView) {
        func count(_ name: String, _ value: inout Int) { if let number = view[name]?.int { value = max(0, number) } }
        func flag(_ name: String, _ value: inout Bool) { if let bool = view[name]?.bool { value = bool } }
        count("dropNotifications", &dropNotifications)
        count("delayNotification", &delayNotification)
        count("duplicateNotification", &duplicateNotifications)
        count("duplicateNotifications", &duplicateNotifications)
        count("refuse", &refuse)
        count("refuseStatus", &refuseStatus)
        count("hang", &hang)
        count("dieOnRequest", &dieOnRequest)
        count("expireOffers", &expireOffers)
        if let tokens = view["dieAfterTokens"] { dieAfterTokens = tokens.int }
        flag("holdPrefills", &holdPrefills)
        flag("holdDecodes", &holdDecodes)
        flag("die", &die)
        flag("closeIdle", &closeIdle)
        flag("dieIfHung", &dieIfHung)
    }

    /// Counts a fault down and says whether it strikes.
    mutating func strike(_ count: WritableKeyPath<SimulatedFaults, Int>) -> Bool {
        guard self[keyPath: count] > 0, budget?.take() ?? true else { return false }
        self[keyPath: count] -= 1
        return true
    }
}
