import NIOCore

/// The engine's half of one hand-off protocol, hazards included: what real engines do beside answering HTTP.
///
/// One object an engine, on the engine's loop. A side sees a request's life in this order: ``shape(_:)``, ``start(_:)``,
/// ``prefilled(_:run:)``, ``ended(_:_:)``; a request that is refused before that only in ``rejected(_:)``.
protocol EngineSide: AnyObject {
    /// KV blocks that the side holds beside those in the engine's ledger.
    var held: Int { get }
    /// The listeners stand; their ports are in the engine's ``SimulatedEngineCore/ports``.
    func bound()
    /// Changes a request as the engine's own front end would, or refuses it.
    func shape(_ request: inout SimulatedRequest) throws(SimulatedAPIError)
    /// A new request: finds its KV, then queues it with `scheduler.submit`.
    func start(_ request: ActiveRequest)
    /// A request's prompt is computed; its first token comes once `run` is called.
    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void)
    /// Whether the engine goes on with a request whose client is gone.
    func mustFinish(_ request: ActiveRequest) -> Bool
    /// A request's answer is complete, or its client is gone (`.abort`), or it failed (`.error`).
    func ended(_ request: ActiveRequest, _ reason: FinishReason)
    /// A request was refused with a status of 400 or more before it was queued.
    func rejected(_ fields: [String: JSONView])
    /// A request failed inside the engine, with a 500: `id` is what its internal ids begin with.
    func failed(_ id: String)
    /// A message from another engine.
    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel)
    /// Another engine's connection is gone.
    func closed(_ channel: any Channel, on listener: SideListener)
    /// The engine ends.
    func close()
}

extension EngineSide {
    var held: Int { 0 }
    func bound() {}
    func shape(_ request: inout SimulatedRequest) throws(SimulatedAPIError) {}
    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) { run() }
    func mustFinish(_ request: ActiveRequest) -> Bool { false }
    func ended(_ request: ActiveRequest, _ reason: FinishReason) {}
    func rejected(_ fields: [String: JSONView]) {}
    func failed(_ id: String) {}
    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {}
    func closed(_ channel: any Channel, on listener: SideListener) {}
    func close() {}
}

/// A port an engine listens on beside its HTTP server's.
enum SideListener: Sendable, Hashable {
    /// LMCache decoder: `pd_peer_init_port` of a rank.
    case lmcacheInit(rank: Int)
    /// LMCache decoder: `pd_peer_alloc_port` of a rank.
    case lmcacheAlloc(rank: Int)
    /// LMCache decoder: `pd_peer_query_port` of a rank, where prefill engines ask what it holds.
    case lmcacheQuery(rank: Int)
    /// The KV connector's port of a data-parallel rank.
    case channel(rank: Int)
    /// SGLang: the bootstrap server, to which decoders register.
    case bootstrap
}

/// Makes the side that a configuration names.
enum EngineSides {
    static func make(_ core: SimulatedEngineCore) -> (any EngineSide)? {
        let configuration = core.configuration
        let isAlone = configuration.role == .both
        return switch configuration.handoff {
        case .lmcache where configuration.role == .prefill: LMCachePrefillSide(core)
        case .lmcache where configuration.role == .decode: LMCacheDecodeSide(core)
        case .lmcacheLegacy, .plain, .lmcacheMP: SharedStoreSide(core)
        case .nixl: NIXLSide(core)
        case .nixlPush: NIXLPushSide(core)
        case .mooncake: MooncakeSide(core)
        case .moriio: MoRIIOSide(core)
        case .p2pNCCL where !isAlone: P2PNCCLSide(core)
        case .offloadP2P: OffloadP2PSide(core)
        case .sglang where !isAlone: SGLangSide(core)
        case .trtllm: TensorRTSide(core)
        case .llmd: LLMDSide(core)
        case .lmcache, .p2pNCCL, .sglang, .none: nil
        }
    }
}
