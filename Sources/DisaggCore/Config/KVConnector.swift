/// The KV connector that the engines of a hand-off run with.
package enum KVConnector: String, Sendable, Hashable {
    case lmcache
    case lmcacheLegacy = "lmcache-legacy"
    case lmcacheMP = "lmcache-mp"
    case nixl
    case nixlPush = "nixl-push"
    case mooncake
    case moriio
    case p2pNCCL = "p2p-nccl"
    case offloadP2P = "offload-p2p"
    case plain

    /// The connector of a hand-off; nil for hand-offs without one in vLLM.
    package init?(_ handoff: HandoffKind) { self.init(rawValue: handoff.rawValue) }

    /// vLLM's name of the connector.
    package var name: String { accepted[0] }

    /// Names that mean the same, the current one first (vLLM 0.33.0 `kv_connector/factory.py`).
    package var accepted: [String] {
        switch self {
        case .lmcache, .lmcacheLegacy: ["LMCacheConnectorV1", "LMCacheConnector"]
        case .lmcacheMP: ["LMCacheMPConnector"]
        case .nixl: ["NixlConnector", "NixlPullConnector"]
        case .nixlPush: ["NixlPushConnector"]
        case .mooncake: ["MooncakeConnector"]
        case .moriio: ["MoRIIOConnector"]
        case .p2pNCCL: ["P2pNcclConnector"]
        case .offloadP2P: ["OffloadingConnector"]
        case .plain:
            [
                "ExampleConnector", "SharedStorageConnector", "MooncakeStoreConnector", "HF3FSKVConnector",
                "FlexKVConnectorV1", "LMCacheConnectorV1", "LMCacheMPConnector",
            ]
        }
    }

    /// Whether vLLM hands KV over by LMCache's PD backend.
    package var isLMCachePD: Bool { self == .lmcache || self == .lmcacheLegacy }
}
