/// Where the proxy looks for engines beside those that the deployment names. What one source found only that source
/// removes; a source that cannot be asked changes nothing.
public struct DiscoverySettings: Sendable, Hashable {
    /// Names whose addresses are prefill engines.
    public var prefill: [DiscoveryName] = []
    /// Names whose addresses are decode engines.
    public var decode: [DiscoveryName] = []
    /// A file that lists backends, read again whenever it changes.
    public var file: String?
    /// Whether engines take part that report themselves at `proxy.notify`, as those of `moriio` and `p2p-nccl` do.
    public var pings = false
    /// How long such an engine may be silent before it is gone; engines ping every 3 s.
    public var pingTimeout = Duration.seconds(10)
    /// How often names are resolved and the file is looked at.
    public var interval = Duration.seconds(10)
    /// The name server that `SRV` records are asked from; that of `/etc/resolv.conf` where nil.
    public var nameserver: Endpoint?

    /// Creates the default: no discovery.
    public init() {}

    /// The names of one role.
    public func names(_ role: BackendRole) -> [DiscoveryName] { role == .prefill ? prefill : decode }

    /// Whether there is anything to look at again and again.
    public var hasSources: Bool { !prefill.isEmpty || !decode.isEmpty || file != nil }
}

/// A name of the domain name system that stands for engines.
public enum DiscoveryName: Sendable, Hashable, CustomStringConvertible {
    /// Every address of the host, with this port.
    case addresses(Endpoint)
    /// The hosts and ports of the `SRV` records of this name, `_vllm._tcp.prefill.example`.
    case service(String)

    /// As a deployment file writes it.
    public var description: String {
        switch self {
        case .addresses(let endpoint): endpoint.description
        case .service(let name): name
        }
    }
}
