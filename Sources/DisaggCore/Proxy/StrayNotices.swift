/// Notifications that an ended attempt may still get: its prefill broke, or another pair took over before they came.
///
/// The KV they announce lies at a decoder that nobody will ask for it. When the last one is there it is freed.
struct StrayNotices {
    let leg: LegRequest
    let backend: BackendState
    let heads: RequestHeadWriter
    /// Connections that notified already; one rank has one.
    var known: [UInt64]
    let expected: Int
    /// The loop's tick after which none is waited for.
    let deadline: Int
}
