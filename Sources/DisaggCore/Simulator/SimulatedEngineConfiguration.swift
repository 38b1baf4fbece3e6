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
    /// Data-parallel ranks behind the one HTTP port: each has its own KV, `X-data-parallel-rank` chooses among them.
    package var dataParallel = 1
    /// `engine_id` of the KV connector, fixed as `nixl-push` needs it; drawn at the start where nil.
    package var engineID: String?

    /// LMCache: only rank 0 stores KV (MLA models).
    package var storesOnFirstRankOnly = false
    /// LMCache: tokens in a chunk.
    package var chunkTokens = 256
    /// LMCache decoder: chunks its PD buffer holds, for each rank. 128 is 4 GiB of Llama-3.1-8B in bf16.
    package var bufferChunks = 128
    /// LMCache: `pd_backend_mode: sync`: a prefill is answered when its KV is stored.
    package var isSynchronous = false
    /// LMCache: `pd_bidirectional`; NIXL: `bidirectional_kv_xfer`, decoders keep a turn's KV for the next one.
    package var isBidirectional = false
    /// LMCache decoder: `pd_peer_init_port`, one a rank; missing ones are chosen by the system.
    package var initPorts: [Int] = []
    /// LMCache decoder: `pd_peer_alloc_port`, one a rank; missing ones are chosen by the system.
    package var allocPorts: [Int] = []
    /// LMCache prefill: where `ProxyNotif` messages go (`pd_proxy_host` and `pd_proxy_port`).
    package var notifyEndpoint: Endpoint?
    /// Sends one notification: host, port, rank, request id. Replaces the ZMTP senders; called on the engine's loop.
    package var notify: (@Sendable (_ host: String, _ port: Int, _ rank: Int, _ requestID: String) -> Void)?

    /// The address other engines reach this one's KV connector at, `remote_host` of NIXL's answers.
    package var sideChannelHost = "127.0.0.1"
    /// Port of the KV connector of the first data-parallel rank, the others' follow: NIXL's side channel, the offloading
    /// connector's, P2pNccl's `kv_port`, MoRIIO's handshake and notify port; 0 lets the system choose.
    package var sideChannelPort = 0
    /// Mooncake and SGLang prefill: port of the bootstrap server; 0 lets the system choose.
    package var bootstrapPort = 0
    /// The KV connectors' time limits.
    package var timers = HandoffTimers()
    /// MoRIIO: `read_mode`: decoders read, in place of prefill engines that write.
    package var moriioReads = false
    /// MoRIIO and P2pNccl: where the engine registers itself (`proxy_ip` and `proxy_ping_port`); nowhere where nil.
    package var pingEndpoint: Endpoint?
    /// P2pNccl decoder: blocks its store of received tensors holds.
    package var storeBlocks = 16_384
    /// vLLM's KV block, in tokens.
    package var blockTokens = 16

    /// `plain` and `lmcache-legacy`: the store the engines of one process share; nil recomputes everything.
    package var sharedStore: SharedPrefixStore?
    /// `lmcache-mp` prefill: from a prefill's answer to the end of its store.
    package var storeDelay = Duration.milliseconds(1)
    /// `lmcache-mp` prefill: `LMCACHE_REQUEST_TELEMETRY_ENDPOINT`; nothing is reported where nil.
    package var telemetry: Endpoint?

    /// Step times.
    package var timing = SimulatedTiming.h200Llama8B
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

    /// Settles how long its steps take.
    ///
    /// - Parameters:
    ///   - gpu: the GPU it plays, a name of the planner's table.
    ///   - isEager: it plays an engine without CUDA graphs.
    ///   - speed: 1 is the calibrated speed, 2 twice as fast, 0 answers at once.
    ///   - stepMilliseconds: of every step, prefills included, in place of the others; nil where they hold.
    /// - Throws: ``CommandError`` for a GPU or model that nobody knows.
    package mutating func setPace(
        gpu: String, isEager: Bool, speed: Double, stepMilliseconds: Double?
    ) throws(CommandError) {
        var description = EngineDescription(model: model, gpu: gpu)
        description.isEager = isEager
        description.tensorParallel = ranks
        timing = try SimulatedTiming.engine(description)
        self.speed = speed
        guard let stepMilliseconds else { return }
        self.speed = 1
        timing = .constant(milliseconds: stepMilliseconds)
    }

    package init(role: Role, handoff: HandoffKind) {
        self.role = role
        self.handoff = handoff
    }

    /// Ranks that store KV and notify.
    var storingRanks: Int { storesOnFirstRankOnly ? 1 : max(1, ranks) }

    /// Errors in one flat object, as SGLang and TensorRT-LLM write them, in place of vLLM's `error` member.
    var hasFlatErrors: Bool { handoff == .sglang || handoff == .trtllm }

    /// Ports to listen on beside the HTTP server's, with the port asked for.
    var listeners: [(listener: SideListener, port: Int)] {
        func channels(_ count: Int) -> [(SideListener, Int)] {
            (0..<max(1, count)).map { (.channel(rank: $0), sideChannelPort == 0 ? 0 : sideChannelPort + $0) }
        }
        switch handoff {
        case .lmcache where role == .decode:
            return (0..<max(1, ranks)).flatMap { rank in
                [
                    (.lmcacheInit(rank: rank), rank < initPorts.count ? initPorts[rank] : 0),
                    (.lmcacheAlloc(rank: rank), rank < allocPorts.count ? allocPorts[rank] : 0),
                ] + (answersQueries ? [(.lmcacheQuery(rank: rank), 0)] : [])
            }
        case .nixl, .nixlPush, .offloadP2P, .llmd, .mooncake: return channels(dataParallel)
        case .moriio, .p2pNCCL, .trtllm: return channels(1)
        case .sglang where role == .prefill: return [(.bootstrap, bootstrapPort)]
        default: return []
        }
    }

    /// Only the synchronous, bidirectional backend of LMCache has query ports.
    var answersQueries: Bool { isSynchronous && isBidirectional }

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
    /// LMCache decoders with query ports: one a rank.
    package var queryPorts: [Int] = []
    /// The KV connector's, one a data-parallel rank, in a row.
    package var sideChannels: [Int] = []
    /// Mooncake and SGLang prefill engines.
    package var bootstrap: Int?

    /// The KV connector's first port.
    package var sideChannel: Int? { sideChannels.first }
}
