/// What became of the KV an engine handed off or took, in blocks (NIXL) or chunks of each rank (LMCache).
package struct KVLedger: Sendable, Hashable {
    /// Waiting to be sent or read, or received and not yet used.
    package var held = 0
    /// Sent to or received from another engine.
    package var transferred = 0
    /// Freed in the way the protocol wants.
    package var released = 0
    /// Held for ever, or freed only because nobody came (an expired lease).
    package var leaked = 0
    /// Asked for again after they were freed.
    package var doubleFreed = 0
    /// Request ids used twice, messages out of order, too few ports.
    package var protocolViolations = 0
    /// Leases that ran out.
    package var expired = 0
    /// Reads of KV that was never there.
    package var unknownPulls = 0
    /// Decode requests that found their whole prompt.
    package var hits = 0
    /// Decode requests that had to compute their prompt.
    package var misses = 0
    /// Requests whose missing KV keeps the whole engine waiting.
    package var stuck = 0
    /// Notifications handed to the sender.
    package var notificationsSent = 0
    /// LMCache: questions for cached KV that were answered, at the decoder and at the prefill engine.
    package var probes = 0
    /// The engine core died, of a request or of a fault.
    package var dead = false
    /// It died of an injected fault.
    package var killed = false

    package init() {}

    /// Whether nothing is held and nothing went wrong.
    package var isClean: Bool {
        held == 0 && leaked == 0 && doubleFreed == 0 && protocolViolations == 0 && expired == 0 && unknownPulls == 0
            && stuck == 0
    }

    /// The answer of `GET /sim/kv`.
    var json: String {
        #"{"held":\#(held),"transferred":\#(transferred),"released":\#(released),"leaked":\#(leaked),"#
            + #""doubleFreed":\#(doubleFreed),"protocolViolations":\#(protocolViolations),"expired":\#(expired),"#
            + #""unknownPulls":\#(unknownPulls),"hits":\#(hits),"misses":\#(misses),"#
            + #""stuck":\#(stuck),"notificationsSent":\#(notificationsSent),"probes":\#(probes),"#
            + #""dead":\#(dead),"killed":\#(killed)}"#
    }
}
