/// What one simulated engine is and how it behaves.
package struct SimulatedEngineConfiguration: Sendable {
    /// The half of a generation the engine serves.
    package enum Role: String, Sendable, CaseIterable {
        case prefill, decode
        /// Both halves, as an engine outside a disaggregated deployment.
        case both
    }

    package var role: Role
    /// Which protocol's engine side it plays.
    package var handoff: HandoffKind
    /// Who samples the first token: an LMCache decoder's `skip_last_n_tokens` is 1 for prefill, 0 for decode.
    package var firstToken = FirstTokenSource.decode
    /// The one model name it serves.
    package var model = "meta-llama/Llama-3.1-8B-Instruct"
    /// Address of the HTTP server and of the hand-off's listeners.
    package var host = "127.0.0.1"
    /// Port of the HTTP server; 0 lets the system choose.
    package var port = 0
    /// Tokens a prompt and its answer may have together (`max_model_len`).
    package var maximumModelLength = 32_768
    /// Tensor-parallel times pipeline-parallel size.
    package var ranks = 1

    /// LMCache: only rank 0 stores KV (MLA models).
    package var storesOnFirstRankOnly = false
    /// LMCache: tokens in a chunk.
    package var chunkTokens = 256
    /// LMCache decoder: chunks its PD buffer holds, for each rank. 128 is 4 GiB of Llama-3.1-8B in bf16.
    package var bufferChunks = 128
    /// LMCache decoder: `pd_peer_init_port`, one a rank; missing ones are chosen by the system.
    package var initPorts: [Int] = []
    /// LMCache decoder: `pd_peer_alloc_port`, one a rank; missing ones are chosen by the system.
    package var allocPorts: [Int] = []
    /// LMCache prefill: where `ProxyNotif` messages go (`pd_proxy_host` and `pd_proxy_port`).
    package var notifyEndpoint: Endpoint?
    /// Sends one notification: host, port, rank, request id. Replaces the ZMTP senders; called on the engine's loop.
    package var notify: (@Sendable (_ host: String, _ port: Int, _ rank: Int, _ requestID: String) -> Void)?

    /// NIXL: the address others reach the side channel at, `remote_host` of the answers.
    package var sideChannelHost = "127.0.0.1"
    /// NIXL: `VLLM_NIXL_SIDE_CHANNEL_PORT`; 0 lets the system choose.
    package var sideChannelPort = 0
    /// NIXL: how long a finished prefill's blocks wait for their reader (`kv_lease_duration`).
    package var leaseDuration = Duration.seconds(30)
    /// vLLM's KV block, in tokens.
    package var blockTokens = 16

    /// `plain` and `lmcache-legacy`: the store the engines of one process share; nil recomputes everything.
    package var sharedStore: SharedPrefixStore?

    /// Step times.
    package var timing = TimingTable.h200Llama8B
    /// Time scale: 1 is the calibrated speed, 2 twice as fast, 0 uses no timers at all.
    package var speed = 0.0
    /// Requests that run at once (`max_num_seqs`); others wait.
    package var maximumRunning = 1_024
    /// How often a step picks the end of the text, 0...1.
    package var endProbability = 0.02
    /// The text of an answer's tokens is their number, from 0, so that a client can tell whether one is lost or swapped.
    package var numbersTokens = false
    /// Tokens of every prompt that the engine says its own prefix cache had (`--enable-prompt-tokens-details`); nil: it
    /// tells nothing. A decoder that loaded KV says that it had all of it.
    package var cachedPromptTokens: Int?
    /// uvicorn closes a connection this long after its last answer (`VLLM_HTTP_TIMEOUT_KEEP_ALIVE`).
    package var keepAlive = Duration.seconds(5)
    /// From the death of the engine core to the end of the HTTP server.
    package var deathDelay = Duration.milliseconds(100)
    /// Bodies kept for `GET /sim/requests`.
    package var loggedBodies = 64

    package init(role: Role, handoff: HandoffKind) {
        self.role = role
        self.handoff = handoff
    }

    /// Ranks that store KV and notify.
    var storingRanks: Int { storesOnFirstRankOnly ? 1 : max(1, ranks) }

    /// `skip_last_n_tokens` of an LMCache decoder.
    var skipLastTokens: Int { firstToken == .prefill ? 1 : 0 }
}

/// The ports a started engine listens on.
package struct SimulatedEnginePorts: Sendable, Hashable {
    package var http: Int
    /// LMCache decoders: one a rank.
    package var initPorts: [Int] = []
    /// LMCache decoders: one a rank.
    package var allocPorts: [Int] = []
    /// NIXL engines.
    package var sideChannel: Int?
}
