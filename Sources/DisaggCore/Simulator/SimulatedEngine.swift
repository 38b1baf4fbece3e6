import NIOConcurrencyHelpers
package import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle

/// A vLLM look-alike for machines without GPUs and for tests: the OpenAI surface, deterministic text, one hand-off's
/// engine side with its hazards, and a ledger of KV blocks.
///
/// One engine lives on one event loop; several share a process and talk over real loopback sockets.
package final class SimulatedEngine: Service, Sendable {
    package let configuration: SimulatedEngineConfiguration
    private let loop: any EventLoop
    private let core: NIOLoopBoundBox<SimulatedEngineCore?>
    private let boundPorts = NIOLockedValueBox<SimulatedEnginePorts?>(nil)
    /// One ZMTP connection a storing rank; LMCache prefill engines only.
    private let notificationSenders: [NotificationSender]

    /// - Parameter group: gives the engine its loop; the process-wide group where nil.
    package init(configuration: SimulatedEngineConfiguration, group: (any EventLoopGroup)? = nil) {
        self.configuration = configuration
        let loop = (group ?? MultiThreadedEventLoopGroup.singleton).next()
        self.loop = loop
        core = .makeEmptyBox(valueType: SimulatedEngineCore.self, eventLoop: loop)
        if let endpoint = configuration.notifyEndpoint, configuration.notify == nil, configuration.role == .prefill,
            configuration.handoff == .lmcache
        {
            notificationSenders = (0..<configuration.storingRanks).map { _ in
                NotificationSender(host: endpoint.host, port: endpoint.port, group: loop)
            }
        } else {
            notificationSenders = []
        }
    }

    /// The ports the engine listens on; nil before ``start()``.
    package var ports: SimulatedEnginePorts? { boundPorts.withLockedValue { $0 } }

    /// Where prefill engines send KV; nil for engines that are no LMCache decoder.
    package var receiver: PDReceiver? {
        guard let ports, !ports.allocPorts.isEmpty else { return nil }
        return PDReceiver(host: configuration.host, initPorts: ports.initPorts, allocPorts: ports.allocPorts)
    }

    /// Binds all listeners.
    ///
    /// - Returns: the HTTP port.
    /// - Throws: an `IOError` where a port is taken.
    @discardableResult
    package func start() async throws -> Int {
        let (configuration, core, loop) = (configuration, core, loop)
        let senders = notificationSenders
        try await loop.submit {
            let engine = SimulatedEngineCore(configuration: configuration, loop: loop)
            if !senders.isEmpty { engine.sendNotification = { rank, id in senders[rank].send(requestID: id) } }
            core.value = engine
        }.get()
        var ports = SimulatedEnginePorts(http: 0)
        do {
            if configuration.handoff == .lmcache, configuration.role == .decode {
                for rank in 0..<max(1, configuration.ranks) {
                    func port(_ list: [Int]) -> Int { rank < list.count ? list[rank] : 0 }
                    ports.initPorts.append(try await bindPeer(port(configuration.initPorts), receiver: nil))
                    ports.allocPorts.append(try await bindPeer(port(configuration.allocPorts), receiver: rank))
                }
            }
            if configuration.handoff == .nixl {
                ports.sideChannel = try await bindPeer(configuration.sideChannelPort, receiver: nil)
            }
            ports.http = try await bindHTTP()
        } catch {
            await shutdown()
            throw error
        }
        let bound = ports
        boundPorts.withLockedValue { $0 = bound }
        try await loop.submit { core.value?.ports = bound }.get()
        return bound.http
    }

    /// Closes all listeners and connections.
    package func shutdown() async {
        let core = core
        try? await loop.submit { core.value?.close(resetting: false) }.get()
        for sender in notificationSenders { await sender.shutdown() }
    }

    /// Serves until the task is cancelled or the service group shuts down.
    package func run() async throws {
        if ports == nil { try await start() }
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        await withTaskCancellationOrGracefulShutdownHandler {
            for await _ in stream {}
        } onCancelOrGracefulShutdown: {
            continuation.finish()
        }
        await shutdown()
    }

    /// The ledger as `GET /sim/kv` shows it.
    package func ledger() async throws -> KVLedger {
        let core = core
        return try await loop.submit { core.value?.currentLedger() ?? KVLedger() }.get()
    }

    /// Replaces the faults; those that act at once do so before this returns.
    package func inject(_ faults: SimulatedFaults) async throws {
        let core = core
        try await loop.submit { core.value?.inject(faults) }.get()
    }

    /// Generation requests received so far, and the bodies kept of the last ones, oldest first.
    package func receivedRequests() async throws -> (total: Int, aborted: Int, bodies: [String]) {
        let core = core
        return try await loop.submit {
            guard let log = core.value?.log else { return (0, 0, []) }
            return (log.total, log.aborted, Array(log.bodies))
        }.get()
    }

    /// Requests running and waiting now.
    package func load() async throws -> Int {
        let core = core
        return try await loop.submit { core.value?.active.count ?? 0 }.get()
    }

    private func bindHTTP() async throws -> Int {
        let core = core
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(ChannelOptions.backlog, value: 2_048)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(ChannelOptions.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let engine = core.value else { return }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
                    try pipeline.addHandler(SimulatedHTTPHandler(core: engine))
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        return try await register(channel)
    }

    /// Binds a hand-off listener: an LMCache rank's, or where `receiver` is nil the NIXL side channel.
    private func bindPeer(_ port: Int, receiver rank: Int?) async throws -> Int {
        let core = core
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(ChannelOptions.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let engine = core.value else { return }
                    engine.opened(channel, handler: nil)
                    let handler = PeerLineHandler(
                        onLine: { [weak engine] message, channel in
                            guard let engine else { return }
                            if let rank { return engine.receivers[rank].received(message, from: channel) }
                            engine.producer?.received(message, from: channel)
                        },
                        onClose: { [weak engine] in
                            engine?.closed(channel)
                            if let rank { engine?.receivers[rank].closed(channel) }
                        })
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: configuration.host, port: port).get()
        return try await register(channel)
    }

    private func register(_ channel: any Channel) async throws -> Int {
        let core = core
        try await loop.submit { core.value?.listening(channel) }.get()
        return channel.localAddress?.port ?? 0
    }
}
