extension Deployment {
    /// Why an engine cannot serve the other role without being started anew; nil where it can.
    ///
    /// Engines of `nixl`, `plain` and `none` send as well as receive. LMCache's can where they were started for it:
    /// `pd_role: both` is known to its sync backend alone (LMCache 0.5.6 `pd_backend.py`; `pd_backend_async.py` refuses it),
    /// and a decoder that takes the first token from the prefill engine runs with another `skip_last_n_tokens`.
    package var reasonForFixedRoles: String? {
        switch handoff {
        case .nixl, .plain, .none: nil
        case .lmcache where !lmcache.enginesChangeRoles:
            "an LMCache engine is a sender or a receiver; start all engines with pd_backend_mode: sync, pd_role: both and "
                + "kv_role kv_both, and say so with lmcache.changeRoles: true"
        case .lmcacheMP where !lmcache.enginesChangeRoles:
            "the engines are kv_producer or kv_consumer; start all of them with kv_role kv_both and LMCache's request "
                + "telemetry, and say so with lmcache.changeRoles: true"
        case .lmcache, .lmcacheMP: nil
        default: "with the \(handoff.rawValue) hand-off an engine's role is fixed when it starts"
        }
    }
}
