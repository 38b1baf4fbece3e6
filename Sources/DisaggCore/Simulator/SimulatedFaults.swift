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
    /// While true no prefill ends: tests use it to act in the middle of one.
    package var holdPrefills = false
    /// While true no decode step runs.
    package var holdDecodes = false
    /// Dies at once: the listener closes and all connections are reset.
    package var die = false
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
        if let tokens = view["dieAfterTokens"] { dieAfterTokens = tokens.int }
        flag("holdPrefills", &holdPrefills)
        flag("holdDecodes", &holdDecodes)
        flag("die", &die)
        flag("closeIdle", &closeIdle)
    }

    /// Counts a fault down and says whether it strikes.
    static func strike(_ count: inout Int) -> Bool {
        guard count > 0 else { return false }
        count -= 1
        return true
    }
}
