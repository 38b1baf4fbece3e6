/// Where one group's engines offer and take KV: ports and names that some hand-offs put into requests.
///
/// A port is the first replica's; replicas on one host count up from it, and another host begins anew. A port that is nil is
/// the engine's own default; decoders beside prefill engines on one host then follow after them.
public struct KVTransferSettings: Sendable, Hashable {
    /// Address at which the other role's engines reach this group's KV ports; the HTTP host where nil.
    public var host: String?
    /// Data-parallel ranks of each engine behind its one HTTP port.
    public var dataParallel = 1
    /// Bootstrap server of a Mooncake or SGLang prefill engine; 8998 where nil.
    public var bootstrapPort: Int?
    /// P2P tier of the offloading connector (`VLLM_P2P_SIDE_CHANNEL_PORT`); 5710 where nil.
    public var p2pPort: Int?
    /// `kv_port` of `P2pNcclConnector`; 14579 where nil.
    public var zmqPort: Int?
    /// `handshake_port` of `MoRIIOConnector`; 6301 where nil.
    public var handshakePort: Int?
    /// `notify_port` of `MoRIIOConnector`; 61005 where nil.
    public var notifyPort: Int?
    /// First `pd_peer_query_port` of an LMCache decoder, which prefill engines (`pd_role: both`) ask what it holds; none
    /// where nil.
    public var queryPort: Int?
    /// Fixed `engine_id`s, one a replica; `prefill-0`, `prefill-1`, … where empty.
    public var engineIDs: [String] = []

    /// Explicit addresses, one a replica; computed from the settings above where empty.
    public var explicit: [KVTransferAddress] = []

    /// Creates the engines' own defaults.
    public init() {}
}

/// A kind of port that engines offer KV at, counted up by replica.
package enum KVPort: CaseIterable, Sendable {
    case bootstrap, p2p, zmq, handshake, notify

    /// The engine's own default for its first rank.
    package var base: Int {
        switch self {
        case .bootstrap: 8998
        case .p2p: 5710
        case .zmq: 14579
        case .handshake: 6301
        case .notify: 61005
        }
    }
}

extension KVTransferSettings {
    /// The port of a kind, nil where it is the engine's own default.
    package subscript(port: KVPort) -> Int? {
        get {
            switch port {
            case .bootstrap: bootstrapPort
            case .p2p: p2pPort
            case .zmq: zmqPort
            case .handshake: handshakePort
            case .notify: notifyPort
            }
        }
        set {
            switch port {
            case .bootstrap: bootstrapPort = newValue
            case .p2p: p2pPort = newValue
            case .zmq: zmqPort = newValue
            case .handshake: handshakePort = newValue
            case .notify: notifyPort = newValue
            }
        }
    }
}

/// Where one engine offers and takes KV, as the other role's engines reach it.
public struct KVTransferAddress: Sendable, Hashable {
    /// Host name or address.
    public var host = ""
    /// Bootstrap server of Mooncake and SGLang.
    public var bootstrapPort = 8998
    /// Side channel of NIXL; data-parallel rank *r* has this port + *r*.
    public var sideChannelPort = 5600
    /// P2P tier of the offloading connector; data-parallel rank *r* has this port + *r*.
    public var p2pPort = 5710
    /// `kv_port` of `P2pNcclConnector`.
    public var zmqPort = 14579
    /// `handshake_port` of `MoRIIOConnector`.
    public var handshakePort = 6301
    /// `notify_port` of `MoRIIOConnector`.
    public var notifyPort = 61005
    /// Where the KV connector listens, as the engine registered itself; nil where it did not.
    public var registeredAddress: String?
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

    /// Takes over what an engine registered: `host:<ip>,handshake:<port>,notify:<port>` of MoRIIO, or `ip:port`.
    package mutating func register(_ address: String) {
        registeredAddress = address
        for part in address.split(separator: ",") {
            guard let colon = part.firstIndex(of: ":") else { continue }
            let value = part[part.index(after: colon)...]
            switch part[..<colon] {
            case "host": host = String(value)
            case "handshake": handshakePort = Int(value) ?? handshakePort
            case "notify": notifyPort = Int(value) ?? notifyPort
            default: break
            }
        }
    }
}

extension Deployment {
    /// Where one replica offers and takes KV.
    func transferAddress(_ role: BackendRole, replica: Int) -> KVTransferAddress {
        let group = group(role)
        if group.transfer.explicit.indices.contains(replica) { return group.transfer.explicit[replica] }
        var address = KVTransferAddress()
        address.host = group.transfer.host ?? group.endpoint(replica: replica).host
        address.bootstrapPort = transferPort(.bootstrap, role, replica: replica)
        address.sideChannelPort = sideChannelPort(role, replica: replica)
        address.p2pPort = transferPort(.p2p, role, replica: replica)
        address.zmqPort = transferPort(.zmq, role, replica: replica)
        address.handshakePort = transferPort(.handshake, role, replica: replica)
        address.notifyPort = transferPort(.notify, role, replica: replica)
        let ids = group.transfer.engineIDs
        address.engineID = ids.indices.contains(replica) ? ids[replica] : role.backendID(replica: replica)
        address.tensorParallel = group.tensorParallel
        address.pipelineParallel = group.pipelineParallel
        address.dataParallel = group.transfer.dataParallel
        return address
    }

    /// One of a replica's KV ports.
    package func transferPort(_ port: KVPort, _ role: BackendRole, replica: Int) -> Int {
        let group = group(role)
        let host = group.endpoint(replica: replica).host
        let before = group.endpoints.prefix(replica).count { $0.host == host } * group.portStep(port)
        if let first = group.transfer[port] { return first + before }
        // A bootstrap server runs in prefill engines only.
        let beside = role == .prefill || port == .bootstrap ? 0 : prefill.endpoints.count { $0.host == host }
        return port.base + beside * prefill.portStep(port) + before
    }

    /// First NIXL side channel port of one replica; rank *i* has the *i*-th after it.
    ///
    /// vLLM's own base is 5600 (`VLLM_NIXL_SIDE_CHANNEL_PORT`); decoders follow after the prefill engines' ranks.
    package func sideChannelPort(_ role: BackendRole, replica: Int) -> Int {
        let group = group(role)
        let ahead = role == .prefill ? 0 : prefill.endpoints.count * prefill.sideChannelStep
        return (group.sideChannelPort ?? 5600 + ahead) + replica * group.sideChannelStep
    }
}

extension EngineGroup {
    /// Side channel ports that one engine may take.
    package var sideChannelStep: Int { max(1, worldSize, transfer.dataParallel) }

    /// How many ports of a kind one engine may take: one a rank, but for the bootstrap server.
    package func portStep(_ port: KVPort) -> Int {
        port == .bootstrap ? 1 : max(1, worldSize * transfer.dataParallel)
    }
}
