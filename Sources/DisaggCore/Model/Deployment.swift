/// One prefill/decode deployment: what the proxy, the launcher and the checks all read.
///
/// Every field has the default that an empty deployment file gives.
public struct Deployment: Sendable, Hashable {
    /// The model's name or path, textually the same on every engine (it is part of LMCache's cache keys).
    public var model = "meta-llama/Llama-3.1-8B-Instruct"
    /// The model's `config.json`, where the built-in table does not know the model; nil otherwise.
    public var modelConfiguration: String?
    /// The shape that ``modelConfiguration``, or the model's own folder, gave when the deployment was read.
    public var configuredShape: ModelShape?
    /// The hand-off protocol.
    public var handoff = HandoffKind.lmcache
    /// Who samples the first token; read by the `lmcache` hand-off only.
    public var firstToken = FirstTokenSource.decode
    /// The engine program to start.
    public var engine = EngineKind.auto
    /// The vLLM version that commands are written for; the newest known where nil.
    public var vllmVersion: LMCacheVersion?
    /// The prefill engines.
    public var prefill = EngineGroup(port: 8100)
    /// The decode engines.
    public var decode = EngineGroup(port: 8200)
    /// The proxy in front of them.
    public var proxy = ProxySettings()
    /// How backends are chosen and watched.
    public var routing = RoutingSettings()
    /// How many requests may be under way, and how others wait.
    public var admission = AdmissionSettings()
    /// When a hand-off is skipped because it would not pay.
    public var conditional = ConditionalSettings()
    /// LMCache's own settings.
    public var lmcache = LMCacheSettings()
    /// Settings of the hand-off that only some protocols read.
    public var handoffOptions = HandoffOptions()
    /// Settings of simulated engines.
    public var simulator = SimulatorSettings()
    /// Where else to look for engines.
    public var discovery = DiscoverySettings()

    /// Creates a 1p1d deployment with the defaults.
    public init() {}

    /// The model's sizes: from its `config.json`, else from the built-in table; nil where neither knows it.
    public var modelShape: ModelShape? { configuredShape ?? ModelCatalog.named(model) }

    /// The group of one role.
    public func group(_ role: BackendRole) -> EngineGroup { role == .prefill ? prefill : decode }

    /// Whether engines of that role are ever asked: without a hand-off, prefill engines are not, so none is started.
    public func uses(_ role: BackendRole) -> Bool { role == .decode || handoff != .none }

    /// The backends of one role, in replica order; their ids are `prefill-0`, `prefill-1`, …
    public func backends(_ role: BackendRole) -> [Backend] {
        let group = group(role)
        return group.endpoints.enumerated().map { index, endpoint in
            var receiver: PDReceiver?
            if role == .decode, handoff == .lmcache {
                let ports = group.receiverPorts(replica: index)
                receiver = PDReceiver(
                    host: group.receiverHost ?? endpoint.host, initPorts: ports.initPorts, allocPorts: ports.allocPorts,
                    queryPorts: ports.queryPorts.isEmpty ? group.queryPorts(replica: index) : ports.queryPorts)
            }
            var backend = Backend(
                id: role.backendID(replica: index), role: role, host: endpoint.host, port: endpoint.port,
                receiver: receiver)
            backend.transfer = transferAddress(role, replica: index)
            backend.kvEvents = kvEventAddress(role, replica: index)
            return backend
        }
    }

    /// Where a replica publishes KV events; nil where the deployment does not say.
    func kvEventAddress(_ role: BackendRole, replica: Int) -> KVEventAddress? {
        let routing = routing[role]
        guard routing.kvEvents.indices.contains(replica) else { return nil }
        return KVEventAddress(
            publishes: routing.kvEvents[replica],
            replays: routing.kvReplay.indices.contains(replica) ? routing.kvReplay[replica] : nil)
    }

    /// The LMCache version that files are written for: the configured one, else the newest that has the hand-off.
    public var lmcacheVersion: LMCacheVersion {
        lmcache.version ?? (handoff == .lmcacheLegacy ? LMCacheVersion(0, 3, 2) : .newestKnown)
    }

    /// How many `ProxyNotif` messages one prefill sends: one a storing rank of the prefill engine.
    ///
    /// MLA models store on rank 0 only. Source: LMCache 0.5.6 `cache_engine.py` 424-426.
    public var expectedNotifications: Int {
        lmcache.storesOnFirstRankOnly ? 1 : max(1, prefill.worldSize)
    }
}

/// A TCP address in host and port.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// Host name or address.
    public var host: String
    /// Port, 0...65535; 0 lets the system choose.
    public var port: Int

    /// Creates an endpoint.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, with IPv6 addresses in brackets.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// The engines of one role.
public struct EngineGroup: Sendable, Hashable {
    /// How many engines to start when `urls` is empty.
    public var replicas = 1
    /// Tensor-parallel size of each engine.
    public var tensorParallel = 1
    /// Pipeline-parallel size of each engine.
    public var pipelineParallel = 1
    /// Host of the engines' HTTP servers.
    public var host = "127.0.0.1"
    /// HTTP port of the first replica; replica *i* listens on `port + i`.
    public var port: Int
    /// Addresses of engines that run already; replaces `replicas`, `host` and `port` where not empty.
    public var urls: [Endpoint] = []
    /// Address at which prefill engines reach these decoders' receivers; the HTTP host where nil.
    public var receiverHost: String?
    /// First `pd_peer_init_port`; each rank of each replica has its own.
    public var initPort = 7300
    /// First `pd_peer_alloc_port`; each rank of each replica has its own.
    public var allocPort = 7400
    /// Explicit receiver ports, one list a replica and one port a rank; computed from `initPort` and `allocPort` where
    /// empty.
    public var explicitReceiverPorts: [ReceiverPorts] = []
    /// First NIXL side channel port (`VLLM_NIXL_SIDE_CHANNEL_PORT`); each rank of each replica has its own.
    public var sideChannelPort: Int?
    /// Where the engines offer and take KV.
    public var transfer = KVTransferSettings()
    /// GPU indices for this group's engines, in replica then rank order; the launcher counts from 0 where empty.
    public var gpus: [Int] = []
    /// Whether the launcher keeps an engine on the CPUs beside its GPUs.
    public var bindsProcessors = true
    /// Arguments appended to each engine's command.
    public var extraArguments: [String] = []
    /// Environment added to each engine.
    public var environment: [String: String] = [:]

    /// Creates a group of one replica.
    public init(port: Int) { self.port = port }

    /// Number of ranks of one engine, or of one of its data-parallel replicas.
    public var worldSize: Int { tensorParallel * pipelineParallel }

    /// GPUs of one engine: its ranks, once for each data-parallel replica.
    public var devicesPerEngine: Int { worldSize * max(1, transfer.dataParallel) }

    /// The query ports of one replica's receiver, one a rank; empty where it has none.
    func queryPorts(replica: Int) -> [Int] {
        transfer.queryPort.map { first in (0..<worldSize).map { first + replica * worldSize + $0 } } ?? []
    }

    /// The HTTP addresses of the group, in replica order.
    public var endpoints: [Endpoint] {
        urls.isEmpty ? (0..<max(0, replicas)).map { Endpoint(host: host, port: port + $0) } : urls
    }

    /// The HTTP address of one replica; for an index beyond the group, the one it would have.
    public func endpoint(replica: Int) -> Endpoint {
        let endpoints = endpoints
        return endpoints.indices.contains(replica) ? endpoints[replica] : Endpoint(host: host, port: port + replica)
    }

    /// The PD receiver ports of one replica, one a rank; replicas never share a port on one host.
    public func receiverPorts(replica: Int) -> ReceiverPorts {
        if replica < explicitReceiverPorts.count { return explicitReceiverPorts[replica] }
        let first = replica * worldSize
        return ReceiverPorts(
            initPorts: (0..<worldSize).map { initPort + first + $0 },
            allocPorts: (0..<worldSize).map { allocPort + first + $0 })
    }
}

/// The two port lists of one LMCache PD receiver, one element a rank.
public struct ReceiverPorts: Sendable, Hashable {
    /// `pd_peer_init_port`.
    public var initPorts: [Int]
    /// `pd_peer_alloc_port`.
    public var allocPorts: [Int]
    /// `pd_peer_query_port`; empty where the decoder has none, or where ``KVTransferSettings/queryPort`` tells.
    public var queryPorts: [Int]

    /// Creates the lists.
    public init(initPorts: [Int], allocPorts: [Int], queryPorts: [Int] = []) {
        self.initPorts = initPorts
        self.allocPorts = allocPorts
        self.queryPorts = queryPorts
    }
}

/// The proxy's own settings.
public struct ProxySettings: Sendable, Hashable {
    /// Where clients connect.
    public var listen = Endpoint(host: "0.0.0.0", port: 9000)
    /// Where LMCache prefill engines push `ProxyNotif`: the proxy binds it, engines connect to it.
    public var notify = Endpoint(host: "localhost", port: 7500)
    /// Event loops; the number of cores where nil.
    public var threads: Int?
    /// Largest request body, in bytes; a larger one is answered 413.
    public var maximumBodyBytes = 64 << 20
    /// Largest request head, in bytes; a larger one is answered 431.
    public var maximumHeadBytes = 32 << 10
    /// A request's head and body must be complete within this time, else 408.
    public var requestReadTimeout = Duration.seconds(30)
    /// A TCP connection to a backend must stand within this time.
    public var connectTimeout = Duration.seconds(3)
    /// A prefill must be answered within this time.
    public var prefillTimeout = Duration.seconds(300)
    /// The notification must follow the prefill's answer within this time; after it the decoder is asked all the same.
    public var notificationTimeout = Duration.seconds(10)
    /// A decoder must send something within this time, else it is given up.
    public var decodeIdleTimeout = Duration.seconds(300)
    /// After the first SIGTERM, requests in flight have this long to end.
    public var drainTimeout = Duration.seconds(30)
    /// The admin listener.
    public var admin = AdminSettings()
    /// The access log.
    public var accessLog = AccessLogSettings()
    /// How single requests are treated.
    public var requests = RequestSettings()

    /// Creates the defaults.
    public init() {}
}

/// How simulated engines behave.
public struct SimulatorSettings: Sendable, Hashable {
    /// Time scale: 1 is the calibrated speed, 2 twice as fast, 0 answers at once.
    public var speed = 1.0
    /// The GPU they play, a name of the planner's table.
    public var gpu = "H200"

    /// Creates the defaults.
    public init() {}
}
