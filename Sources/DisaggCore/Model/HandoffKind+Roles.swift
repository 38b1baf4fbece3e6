extension HandoffKind {
    /// Whether an engine can serve the other role without being started anew: its connector sends as well as receives
    /// (`kv_role: kv_both`). LMCache's PD engines are either sender or receiver (`pd_role`), and so are others'.
    package var enginesChangeRoles: Bool {
        switch self {
        case .nixl, .plain, .none: true
        default: false
        }
    }

    /// Whether its engines are started without CUDA graphs, as the connectors' authors start them.
    package var runsEagerly: Bool { [.lmcache, .lmcacheLegacy, .plain].contains(self) }
}
