/// A request whose only purpose is to free KV that no decode will use.
struct KVRelease {
    let leg: LegRequest
    /// The decoder that is asked first.
    var backend: BackendState
    let heads: RequestHeadWriter
    /// ``ReleaseReason/throwAwayDecode`` or ``ReleaseReason/rejectedDecode``: what it counts as.
    let ending: ReleaseReason
    /// What is given back when the KV is free.
    let hold: KVHold?

    /// Whether only this decoder can do it: the KV lies there.
    var needsSame: Bool { ending == .throwAwayDecode }
}
