/// Where one group's engines offer and take KV: ports and names that some hand-offs put into requests.
///
/// A port is the first replica's; replicas on one host count up from it, and another host begins anew.
public struct KVTransferSettings: Sendable, Hashable {
    /// Address at which the other role's engines reach this group's KV ports; the HTTP host where nil.
    public var host: String?
    /// Data-parallel ranks of each engine behind its one HTTP port.
    public var dataParallel = 1
    /// Bootstrap server of a Mooncake or SGLang prefill engine.
    public var bootstrapPort = 8998
    /// `kv_port` of `P2pNcclConnector`.
    public var zmqPort = 14579
    /// `handshake_port` of `MoRIIOConnector`.
    public var handshakePort = 6301
    /// `notify_port` of `MoRIIOConnector`.
    public var notifyPort = 61005
    /// First `pd_peer_query_port` of an LMCache decoder with `pd_role: both`; none where nil.
    public var queryPort: Int?
    /// Fixed `engine_id`s, one a replica; `prefill-0`, `prefill-1`, … where empty.
    public var engineIDs: [String] = []

    /// Creates the engines' own defaults.
    public init() {}
}

/// Where one engine offers and takes KV, as the other role's engines reach it.
public struct KVTransferAddress: Sendable, Hashable {
    /// Host name or address.
    public var host = ""
    /// Bootstrap server of Mooncake and SGLang.
    public var bootstrapPort = 8998
    /// Side channel of NIXL and of the offloading connector's P2P tier; data-parallel rank *r* has this port + *r*.
    public var sideChannelPort = 5600
    /// `kv_port` of `P2pNcclConnector`.
    public var zmqPort = 14579
    /// `handshake_port` of `MoRIIOConnector`.
    public var handshakePort = 6301
    /// `notify_port` of `MoRIIOConnector`.
    public var notifyPort = 61005
    /// The engine's fixed `engine_id`, without vLLM's `_dp` suffix.
    public var engineID = ""
    /// Tensor-parallel size.
    public var tensorParallel = 1
    /// Pipeline-parallel size.
    public var pipelineParallel = 1
    /// Data-parallel ranks behind the HTTP port.
    public var dataParallel = 1

    /// Creates an address with the engines' own defaults.
    public init() {}
}

extension Deployment {
    /// Where one replica offers and takes KV.
    func transferAddress(_ role: BackendRole, replica: Int) -> KVTransferAddress {
        let group = group(role)
        let settings = group.transfer
        let endpoints = group.endpoints
        let endpoint = group.endpoint(replica: replica)
        let sameHost = endpoints.prefix(replica).count { $0.host == endpoint.host }
        let ranks = max(1, group.worldSize * settings.dataParallel)
        var address = KVTransferAddress()
        address.host = settings.host ?? endpoint.host
        address.bootstrapPort = settings.bootstrapPort + sameHost
        address.sideChannelPort = sideChannelPort(role, replica: replica)
        address.zmqPort = settings.zmqPort + sameHost * ranks
        address.handshakePort = settings.handshakePort + sameHost * ranks
        address.notifyPort = settings.notifyPort + sameHost * ranks
        address.engineID =
            replica < settings.engineIDs.count ? settings.engineIDs[replica] : role.backendID(replica: replica)
        address.tensorParallel = group.tensorParallel
        address.pipelineParallel = group.pipelineParallel
        address.dataParallel = settings.dataParallel
        return address
    }

    /// First side channel port of one replica; rank *i* has the *i*-th after it.
    ///
    /// vLLM's own base is 5600 (`VLLM_NIXL_SIDE_CHANNEL_PORT`), and 5710 for the offloading connector's P2P tier
    /// (`VLLM_P2P_SIDE_CHANNEL_PORT`); decoders follow after the prefill engines' ranks.
    package func sideChannelPort(_ role: BackendRole, replica: Int) -> Int {
        let group = group(role)
        let base = handoff == .offloadP2P ? 5710 : 5600
        let ahead = role == .prefill ? 0 : prefill.endpoints.count * prefill.sideChannelStep
        return (group.sideChannelPort ?? base + ahead) + replica * group.sideChannelStep
    }
}

extension EngineGroup {
    /// Side channel ports that one engine may take.
    package var sideChannelStep: Int { max(1, worldSize, transfer.dataParallel) }
}
