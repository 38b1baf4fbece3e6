/// What became of the KV of an attempt whose prefill was sent; shown in metrics.
package enum ReleaseReason: String, Sendable, CaseIterable {
    /// A decode took it.
    case consumed
    /// A throw-away decode took it.
    case throwAwayDecode = "throw-away-decode"
    /// A decoder was sent a request it rejects, and told the prefill engine.
    case rejectedDecode = "rejected-decode"
    /// Its leg was cancelled: the engine freed it.
    case cancelled
    /// The engine freed it at the end of its lease.
    case lease
    /// Nobody could be asked to free it: the decoder that held it is gone, or refused too often.
    case abandoned
}
