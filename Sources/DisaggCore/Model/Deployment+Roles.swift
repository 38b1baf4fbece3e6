extension Deployment {
    /// Why an engine cannot serve the other role without being started anew; nil where it can.
    ///
    /// Engines of `nixl`, `plain` and `none` send as well as receive; those of `lmcache-mp` where they were started for it.
    /// LMCache's PD backends do one or the other: the sync one starts its sender alone for `pd_role: both`, and binds no port
    /// (LMCache 0.5.6 `pd_backend.py` 286-289); the async one refuses `both`.
    package var reasonForFixedRoles: String? {
        switch handoff {
        case .nixl, .plain, .none: nil
        case .lmcache:
            "an LMCache engine is a sender or a receiver from its start, and with pd_role: both it only sends"
        case .lmcacheMP where !lmcache.enginesChangeRoles:
            "the engines are kv_producer or kv_consumer; start all of them with kv_role kv_both and LMCache's request "
                + "telemetry, and say so with lmcache.changeRoles: true"
        case .lmcacheMP: nil
        default: "with the \(handoff.rawValue) hand-off an engine's role is fixed when it starts"
        }
    }
}
