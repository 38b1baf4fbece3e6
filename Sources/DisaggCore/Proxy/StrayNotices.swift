/// Notifications that an ended attempt may still get: its prefill broke, or another pair took over before they came.
///
/// The KV they announce lies at a decoder that nobody will ask for it. When the last one is there it is freed.
struct StrayNotices {
    /// What frees the KV.
    let release: KVRelease
    /// Connections that notified already; one rank has one.
    var known: [UInt64]
    let expected: Int
    /// The loop's tick after which none is waited for.
    let deadline: Int
    /// Whether the KV is freed at the deadline too: its prefill ended well, so it was sent, and a notification can be lost
    /// while the KV is not. The decode that went ahead may have come too early to use it.
    let freesAtDeadline: Bool
}
