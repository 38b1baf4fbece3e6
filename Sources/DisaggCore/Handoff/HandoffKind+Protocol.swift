extension HandoffKind {
    /// The protocol of a deployment's hand-off.
    package static func makeProtocol(_ deployment: Deployment) -> any HandoffProtocol {
        let options = deployment.handoffOptions
        let fallsBack = options.fallback == .decodeOnly
        return switch deployment.handoff {
        case .lmcache:
            LMCacheProtocol(
                firstToken: deployment.firstToken, expectedNotices: deployment.expectedNotifications,
                fallsBack: fallsBack)
        case .lmcacheLegacy: LMCacheLegacyProtocol(fallsBack: fallsBack)
        case .lmcacheMP: LMCacheMPProtocol(workers: deployment.expectedNotifications, fallsBack: fallsBack)
        case .nixl: NixlProtocol(lease: options.lease, fallsBack: fallsBack)
        case .nixlPush: NixlPushProtocol(fallsBack: fallsBack)
        case .mooncake: MooncakeProtocol(fallsBack: fallsBack)
        case .moriio: MoRIIOProtocol(mode: options.moriioMode, fallsBack: fallsBack)
        case .p2pNCCL: P2pNCCLProtocol()
        case .offloadP2P: OffloadP2PProtocol(fallsBack: fallsBack)
        case .sglang: SGLangProtocol()
        case .trtllm: TensorRTProtocol(style: options.trtllmStyle)
        case .llmd: SidecarProtocol(fallsBack: fallsBack)
        case .plain: PlainProtocol(fallsBack: fallsBack)
        case .none: NoHandoffProtocol()
        }
    }
}
