/// Which half of a generation a backend serves.
public enum BackendRole: String, Sendable, Hashable, CaseIterable {
    /// Computes the KV cache of a prompt.
    case prefill
    /// Generates tokens from a KV cache.
    case decode

    /// The id of the role's backend with that index, for example `prefill-0`.
    public func backendID(replica: Int) -> String { "\(rawValue)-\(replica)" }
}

/// One inference engine that listens on one HTTP address.
public struct Backend: Sendable, Hashable, Identifiable {
    /// Unique in its deployment; what logs, metrics and headers show, for example `prefill-0`.
    public var id: String
    /// The half of a generation it serves.
    public var role: BackendRole
    /// Host name or address of the engine's HTTP server, as the proxy reaches it.
    public var host: String
    /// TCP port of the engine's HTTP server, 1...65535.
    public var port: Int
    /// The LMCache PD receiver's ports. Only decode backends of the `lmcache` hand-off have one.
    public var receiver: PDReceiver?
    /// Where it publishes KV events; nil where it does not, or nobody listens.
    public var kvEvents: KVEventAddress?
    /// Where it offers and takes KV under the hand-offs that name such places in requests.
    public var transfer = KVTransferAddress()

    /// Creates a backend.
    public init(id: String, role: BackendRole, host: String, port: Int, receiver: PDReceiver? = nil) {
        self.id = id
        self.role = role
        self.host = host
        self.port = port
        self.receiver = receiver
        transfer.host = host
        transfer.engineID = id
    }

    /// `host:port`, with IPv6 addresses in brackets: the value of a `Host` header.
    public var authority: String { Endpoint(host: host, port: port).description }
}

/// Where an engine tells what its prefix cache holds (vLLM `--kv-events-config`).
public struct KVEventAddress: Sendable, Hashable {
    /// `endpoint`: where it publishes.
    public var publishes: Endpoint
    /// `replay_endpoint`: where what was missed can be asked for; nil where there is none.
    public var replays: Endpoint?

    /// Creates an address.
    public init(publishes: Endpoint, replays: Endpoint? = nil) {
        self.publishes = publishes
        self.replays = replays
    }
}

/// Where an LMCache decoder takes KV: the `disagg_spec` of the prefill request.
///
/// One element a prefill rank, in rank order: sender rank *i* uses element *i* of both lists.
/// Source: LMCache 0.5.6 `pd_backend_async.py` 1068-1070.
public struct PDReceiver: Sendable, Hashable {
    /// The address the *prefill engines* reach the decoder at.
    public var host: String
    /// `pd_peer_init_port` of the decoder, one a rank.
    public var initPorts: [Int]
    /// `pd_peer_alloc_port` of the decoder, one a rank.
    public var allocPorts: [Int]
    /// `pd_peer_query_port` of a decoder with `pd_role: both`, one a rank; empty where it has none.
    public var queryPorts: [Int] = []

    /// Creates a receiver description.
    public init(host: String, initPorts: [Int], allocPorts: [Int], queryPorts: [Int] = []) {
        self.host = host
        self.initPorts = initPorts
        self.allocPorts = allocPorts
        self.queryPorts = queryPorts
    }
}
