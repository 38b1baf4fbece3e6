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
    let loop: any EventLoop
    let core: NIOLoopBoundBox<SimulatedEngineCore?>
    private let boundPorts = NIOLockedValueBox<SimulatedEnginePorts?>(nil)
    /// One ZMTP connection a storing rank; LMCache prefill engines only.
    private let notificationSenders: [NotificationSender]
    /// MoRIIO and P2pNccl engines that register themselves.
    private let pings: PingSender?

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
        let registers = configuration.role != .both && [.moriio, .p2pNCCL].contains(configuration.handoff)
        pings = registers ? configuration.pingEndpoint.map { PingSender(to: $0, group: loop) } : nil
    }

    /// The ports the engine listens on; nil before ``start()``.
    package var ports: SimulatedEnginePorts? { boundPorts.withLockedValue { $0 } }

    /// Where prefill engines send KV; nil for engines that are no LMCache decoder.
    package var receiver: PDReceiver? {
        guard let ports, !ports.allocPorts.isEmpty else { return nil }
        return PDReceiver(
            host: configuration.host, initPorts: ports.initPorts, allocPorts: ports.allocPorts,
            queryPorts: ports.queryPorts)
    }

    /// What the engine's pings say; nil before ``start()`` and where it does not ping.
    package var registration: EngineRegistration? {
        guard let ports, let port = ports.sideChannel, configuration.role != .both else { return nil }
        let isMoRIIO = configuration.handoff == .moriio
        guard isMoRIIO || configuration.handoff == .p2pNCCL else { return nil }
        let host = configuration.sideChannelHost
        var registration = EngineRegistration(
            role: configuration.role == .prefill ? .prefill : .decode,
            http: Endpoint(host: configuration.host, port: ports.http),
            zmqAddress: isMoRIIO
                ? MoRIIOSide.zmqAddress(host, port: port) : Endpoint(host: host, port: port).description)
        if isMoRIIO {
            registration.dataParallel = configuration.dataParallel
            registration.tensorParallel = configuration.ranks
            registration.transferMode = configuration.moriioReads ? "READ" : "WRITE"
        }
        return registration
    }

    /// Binds all listeners.
    ///
    /// - Returns: the HTTP port.
    /// - Throws: an `IOError` where a port is taken.
    @discardableResult
    package func start() async throws -> Int { try await start(configuration) }

    /// Ends as a process that is killed, and starts again on the same ports: nothing is remembered, and ids that are drawn at
    /// the start are others.
    package func restart() async throws {
        var configuration = configuration
        if let ports {
            configuration.port = ports.http
            configuration.sideChannelPort = ports.sideChannel ?? 0
            configuration.bootstrapPort = ports.bootstrap ?? 0
            (configuration.initPorts, configuration.allocPorts) = (ports.initPorts, ports.allocPorts)
        }
        let core = core
        configuration.telemetry = try await loop.submit {
            let telemetry = core.value?.telemetry
            core.value?.close(resetting: true)
            return telemetry
        }.get()
        _ = try await start(configuration)
    }

    /// Tells an `lmcache-mp` prefill engine where to report, once that is known.
    package func report(to endpoint: Endpoint) async throws {
        let core = core
        try await loop.submit { core.value?.telemetry = endpoint }.get()
    }

    private func start(_ configuration: SimulatedEngineConfiguration) async throws -> Int {
        let (core, loop) = (core, loop)
        let senders = notificationSenders
        try await loop.submit {
            let engine = SimulatedEngineCore(configuration: configuration, loop: loop)
            if !senders.isEmpty { engine.sendNotification = { rank, id in senders[rank].send(requestID: id) } }
            core.value = engine
        }.get()
        var ports = SimulatedEnginePorts(http: 0)
        do {
            try await bindSides(configuration, &ports)
            ports.http = try await bindHTTP(configuration.port)
        } catch {
            await shutdown()
            throw error
        }
        let bound = ports
        boundPorts.withLockedValue { $0 = bound }
        try await loop.submit {
            core.value?.ports = bound
            core.value?.side?.bound()
        }.get()
        if let registration { pings?.start(registration, every: configuration.timers.ping) }
        return bound.http
    }

    /// Closes all listeners and connections.
    package func shutdown() async {
        let core = core
        try? await loop.submit { core.value?.close(resetting: false) }.get()
        for sender in notificationSenders { await sender.shutdown() }
        await pings?.shutdown()
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
}
