import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

/// How a test's deployment looks.
struct Topology: Sendable, CustomTestStringConvertible {
    var handoff: HandoffKind
    var firstToken = FirstTokenSource.decode
    var prefill = 1
    var decode = 1
    var ranks = 1
    var dataParallel = 1
    var moriioMode = HandoffOptions.MoRIIOMode.write
    var trtllmStyle = HandoffOptions.TRTLLMStyle.contextFirst
    var isBidirectional = false

    var testDescription: String {
        "\(name), \(prefill)p\(decode)d" + (ranks > 1 ? ", \(ranks) ranks" : "")
            + (dataParallel > 1 ? ", dp \(dataParallel)" : "")
    }

    /// The hand-off with its mode.
    var name: String {
        switch handoff {
        case .lmcache: "lmcache (first token from \(firstToken.rawValue))"
        case .moriio: "moriio (\(moriioMode.rawValue))"
        case .trtllm: "trtllm (\(trtllmStyle.rawValue))"
        case .nixl where isBidirectional: "nixl (bidirectional)"
        default: handoff.rawValue
        }
    }

    /// The five hand-offs of the first days, LMCache in both modes: what the longer tests go through.
    static let everyHandoff: [Topology] = [
        .init(handoff: .lmcache), .init(handoff: .lmcache, firstToken: .prefill), .init(handoff: .lmcacheLegacy),
        .init(handoff: .nixl), .init(handoff: .plain), .init(handoff: .none),
    ]

    /// Every hand-off in each of its modes.
    static let everyMode: [Topology] =
        HandoffKind.allCases.flatMap { kind -> [Topology] in
            switch kind {
            case .lmcache: [.init(handoff: kind), .init(handoff: kind, firstToken: .prefill)]
            case .nixl: [.init(handoff: kind), .init(handoff: kind, isBidirectional: true)]
            case .moriio: [.init(handoff: kind), .init(handoff: kind, moriioMode: .read)]
            case .trtllm: [.init(handoff: kind), .init(handoff: kind, trtllmStyle: .generationFirst)]
            default: [.init(handoff: kind)]
            }
        }

    /// Whether engines of this hand-off may have several data-parallel ranks behind one port.
    var hasDataParallelRanks: Bool {
        [.nixl, .nixlPush, .mooncake, .moriio, .offloadP2P, .llmd, .sglang].contains(handoff)
    }

    /// A copy with data-parallel ranks.
    func ranked(_ dataParallel: Int) -> Topology {
        var copy = self
        copy.dataParallel = dataParallel
        return copy
    }

    /// A copy with other numbers of engines.
    func sized(_ prefill: Int, _ decode: Int) -> Topology {
        var copy = self
        copy.prefill = prefill
        copy.decode = decode
        return copy
    }
}

/// Simulated engines, a proxy in front of them, and one engine alone to compare with.
final class ProxyHarness: Sendable {
    let topology: Topology
    /// What the proxy was given.
    let deployment: Deployment
    let prefill: [SimulatedEngine]
    let decode: [SimulatedEngine]
    /// An engine with no hand-off, whose answers are right by definition.
    let oracle: SimulatedEngine
    let proxy: RawHTTPClient
    let direct: RawHTTPClient
    let notifyPort: Int?
    /// The admin listener, where the settings enable it.
    let admin: RawHTTPClient
    let server: DisaggServer
    private let senders: NIOLockedValueBox<[NotificationSender]>
    private let serving: Task<Void, any Error>

    init(
        _ topology: Topology, configure: (inout SimulatedEngineConfiguration) -> Void = { _ in },
        settings: (inout Deployment) -> Void = { _ in },
        source: (Deployment) throws -> DeploymentSource? = { _ in nil }
    ) async throws {
        self.topology = topology
        let senders = NIOLockedValueBox<[NotificationSender]>([])
        self.senders = senders
        let store = SharedPrefixStore()
        func engine(_ role: SimulatedEngineConfiguration.Role, _ index: Int = 0) -> SimulatedEngine {
            // The engine alone writes errors as the others do.
            let isFlat = [.sglang, .trtllm].contains(topology.handoff)
            var configuration = SimulatedEngineConfiguration(
                role: role, handoff: role == .both && !isFlat ? .none : topology.handoff)
            configuration.dataParallel = topology.dataParallel
            configuration.moriioReads = topology.moriioMode == .read
            configuration.isBidirectional = topology.isBidirectional
            if role == .prefill { configuration.engineID = BackendRole.prefill.backendID(replica: index) }
            configuration.firstToken = topology.firstToken
            configuration.ranks = topology.ranks
            configuration.endProbability = 0.08
            configuration.maximumModelLength = 300
            configuration.sharedStore = store
            if role == .prefill, topology.handoff == .lmcache {
                configuration.notifyEndpoint = Endpoint(host: "localhost", port: 1)
                // Each rank of each engine has its own connection, as real workers have.
                let ranks = topology.ranks
                configuration.notify = { _, _, rank, id in
                    let all = senders.withLockedValue { $0 }
                    if !all.isEmpty { all[index * ranks + rank].send(requestID: id) }
                }
            }
            if role != .both { configure(&configuration) }
            return SimulatedEngine(configuration: configuration)
        }
        prefill = (0..<topology.prefill).map { engine(.prefill, $0) }
        decode = (0..<topology.decode).map { engine(.decode, $0) }
        oracle = engine(.both)
        var deployment = Deployment()
        deployment.handoff = topology.handoff
        deployment.firstToken = topology.firstToken
        deployment.handoffOptions.moriioMode = topology.moriioMode
        deployment.handoffOptions.trtllmStyle = topology.trtllmStyle
        deployment.handoffOptions.bidirectional = topology.isBidirectional
        deployment.prefill.transfer.dataParallel = topology.dataParallel
        deployment.decode.transfer.dataParallel = topology.dataParallel
        deployment.prefill.tensorParallel = topology.ranks
        deployment.decode.tensorParallel = topology.ranks
        deployment.prefill.urls = []
        deployment.prefill.replicas = 0
        for engine in decode {
            deployment.decode.urls.append(Endpoint(host: "127.0.0.1", port: try await engine.start()))
            if let receiver = engine.receiver {
                deployment.decode.explicitReceiverPorts.append(
                    ReceiverPorts(
                        initPorts: receiver.initPorts, allocPorts: receiver.allocPorts, queryPorts: receiver.queryPorts)
                )
            }
        }
        for engine in prefill {
            deployment.prefill.urls.append(Endpoint(host: "127.0.0.1", port: try await engine.start()))
        }
        deployment.prefill.transfer.explicit = prefill.map(Self.transferAddress)
        deployment.decode.transfer.explicit = decode.map(Self.transferAddress)
        direct = RawHTTPClient(port: try await oracle.start())
        deployment.proxy.listen = Endpoint(host: "127.0.0.1", port: 0)
        deployment.proxy.notify = Endpoint(host: "localhost", port: 0)
        deployment.proxy.threads = 2
        deployment.proxy.drainTimeout = .seconds(5)
        deployment.proxy.admin.isEnabled = false
        // In turn, so that a test knows which engine is next.
        for role in BackendRole.allCases { deployment.routing[role].policy = .roundRobin }
        settings(&deployment)
        self.deployment = deployment
        let (started, continuation) = AsyncStream<(Int, Int?)>.makeStream()
        let adminPort = NIOLockedValueBox(0)
        let server = try DisaggServer(
            deployment: deployment, source: source(deployment), logger: Logger(label: "test"),
            onAdmin: { admin in adminPort.withLockedValue { $0 = admin.port } },
            onStart: { continuation.yield(($0.port, $1)) })
        self.server = server
        serving = Task { try await server.run() }
        var ports: (Int, Int?) = (0, nil)
        for await value in started {
            ports = value
            break
        }
        proxy = RawHTTPClient(port: ports.0)
        admin = RawHTTPClient(port: adminPort.withLockedValue { $0 })
        notifyPort = ports.1
        if topology.handoff == .lmcacheMP, let port = ports.1 {
            let reporting = deployment.lmcache.enginesChangeRoles ? prefill + decode : prefill
            for engine in reporting { try await engine.report(to: Endpoint(host: "localhost", port: port)) }
        } else if let port = ports.1 {
            senders.withLockedValue {
                $0 = (0..<topology.prefill * topology.ranks).map { _ in
                    NotificationSender(host: "localhost", port: port, group: MultiThreadedEventLoopGroup.singleton)
                }
            }
        }
    }

    /// Where an engine that has started offers and takes KV.
    private static func transferAddress(_ engine: SimulatedEngine) -> KVTransferAddress {
        var address = KVTransferAddress()
        let ports = engine.ports
        address.host = "127.0.0.1"
        address.engineID = engine.configuration.engineID ?? ""
        address.tensorParallel = engine.configuration.ranks
        address.dataParallel = engine.configuration.dataParallel
        if let port = ports?.bootstrap { address.bootstrapPort = port }
        if let port = ports?.sideChannel {
            (address.sideChannelPort, address.p2pPort, address.zmqPort) = (port, port, port)
            (address.handshakePort, address.notifyPort) = (port, port)
        }
        return address
    }

    /// The sums of all engines' ledgers.
    func ledgers() async throws -> [KVLedger] {
        var all: [KVLedger] = []
        for engine in prefill + decode { all.append(try await engine.ledger()) }
        return all
    }

    /// Waits until no engine holds KV, at most some seconds; releases run after the client's answer.
    func settledLedgers() async throws -> [KVLedger] {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            let all = try await ledgers()
            if all.allSatisfy({ $0.held == 0 }) || ContinuousClock.now > deadline { return all }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Finished requests by the reason of their route.
    func servedByReason() async throws -> [String: Int] {
        var served: [String: Int] = [:]
        for line in try await proxy.get("/metrics").body.split(separator: "\n") {
            guard line.hasPrefix("disagg_requests_total{"), let range = line.firstRange(of: "reason=\"") else {
                continue
            }
            let reason = line[range.upperBound...].prefix { $0 != "\"" }
            served[String(reason), default: 0] += line.split(separator: " ").last.flatMap { Int($0) } ?? 0
        }
        return served
    }

    func metric(_ name: String) async throws -> String? {
        try await proxy.get("/metrics").body.split(separator: "\n").first { $0.hasPrefix(name) }
            .flatMap { $0.split(separator: " ").last.map(String.init) }
    }

    func shutdown() async {
        serving.cancel()
        _ = try? await serving.value
        for sender in senders.withLockedValue({ $0 }) { await sender.shutdown() }
        for engine in prefill + decode + [oracle] { await engine.shutdown() }
    }
}

/// Runs a test's body with a harness and shuts everything down after it.
func withProxy(
    _ topology: Topology, configure: (inout SimulatedEngineConfiguration) -> Void = { _ in },
    settings: (inout Deployment) -> Void = { _ in },
    source: (Deployment) throws -> DeploymentSource? = { _ in nil }, _ body: (ProxyHarness) async throws -> Void
) async throws {
    let harness = try await ProxyHarness(topology, configure: configure, settings: settings, source: source)
    do {
        try await body(harness)
        await harness.shutdown()
    } catch {
        await harness.shutdown()
        throw error
    }
}
