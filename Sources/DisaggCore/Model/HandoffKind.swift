/// The way a prompt's KV cache gets from a prefill to a decode engine.
public enum HandoffKind: String, Sendable, Hashable, CaseIterable {
    /// LMCache PD (`enable_pd`): the proxy names the receiver in `disagg_spec` and waits for `ProxyNotif` messages.
    case lmcache
    /// LMCache before 0.3.3 (`enable_nixl`): prefill first, KV matched by token hash, nothing in the request.
    case lmcacheLegacy = "lmcache-legacy"
    /// LMCache's multi-process server (`LMCacheMPConnector`): prefill first, the decode after the workers' telemetry
    /// told that the KV is stored.
    case lmcacheMP = "lmcache-mp"
    /// vLLM's `NixlConnector` (pull): the prefill answer's `kv_transfer_params` go to the decoder verbatim.
    case nixl
    /// vLLM's `NixlPushConnector`: the prefill engine writes into the decoder, which is asked first.
    case nixlPush = "nixl-push"
    /// vLLM's `MooncakeConnector`: both legs at once, paired by a transfer id.
    case mooncake
    /// vLLM's `MoRIIOConnector` (AMD): reads or writes, see ``HandoffOptions/moriioMode-swift.property``.
    case moriio
    /// `P2pNcclConnector` of vLLM before June 2026: addresses in the request id.
    case p2pNCCL = "p2p-nccl"
    /// The P2P tier of vLLM's `OffloadingConnector`: the decoder loads what the prefill engine offers.
    case offloadP2P = "offload-p2p"
    /// SGLang: both legs at once, paired by a bootstrap room.
    case sglang
    /// TensorRT-LLM: context and generation servers, see ``HandoffOptions/trtllmStyle-swift.property``.
    case trtllm
    /// llm-d: the decoders' side-cars ask the prefill engine that a header names.
    case llmd = "llm-d"
    /// A store both engines share: prefill first, then the untouched request to the decoder.
    case plain
    /// No hand-off: every request goes to a decode backend alone.
    case none

    /// Whether its engines are started without CUDA graphs, as the connectors' authors start them.
    package var runsEagerly: Bool { [.lmcache, .lmcacheLegacy, .plain].contains(self) }
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
    /// `vllm`, or `sglang` where that is the hand-off, where a GPU is found; else `simulated`.
    case auto
    /// `vllm serve`.
    case vllm
    /// SGLang's server, with the `sglang` hand-off.
    case sglang
    /// The simulated engine of this package.
    case simulated
}
