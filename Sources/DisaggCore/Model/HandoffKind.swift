/// The way a prompt's KV cache gets from a prefill to a decode engine.
public enum HandoffKind: String, Sendable, Hashable, CaseIterable {
    /// LMCache PD (`enable_pd`): the proxy names the receiver in `disagg_spec` and waits for `ProxyNotif` messages.
    case lmcache
    /// LMCache before 0.3.3 (`enable_nixl`): prefill first, KV matched by token hash, nothing in the request.
    case lmcacheLegacy = "lmcache-legacy"
    /// vLLM's `NixlConnector` (pull): the prefill answer's `kv_transfer_params` go to the decoder verbatim.
    case nixl
    /// A store both engines share: prefill first, then the untouched request to the decoder.
    case plain
    /// No hand-off: every request goes to a decode backend alone.
    case none
}

/// Which engine's first token the client gets under the `lmcache` hand-off.
public enum FirstTokenSource: String, Sendable, Hashable, CaseIterable {
    /// The decoder generates every token: the whole API works. The decoder runs with `skip_last_n_tokens: 0`.
    case decode
    /// The prefill engine samples the first token (lowest TTFT). The decoder runs with `skip_last_n_tokens: 1`.
    case prefill
}

/// The engine program a deployment starts.
public enum EngineKind: String, Sendable, Hashable, CaseIterable {
    /// `vllm` where a GPU is found, else `simulated`.
    case auto
    /// `vllm serve`.
    case vllm
    /// The simulated engine of this package.
    case simulated
}
