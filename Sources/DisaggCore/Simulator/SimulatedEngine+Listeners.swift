import NIOCore
import NIOHTTP1
import NIOPosix

/// The ports of a simulated engine.
extension SimulatedEngine {
    /// Binds an HTTP server.
    ///
    /// - Returns: its port.
    func bindHTTP(_ port: Int) async throws -> Int {
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
            .bind(host: configuration.host, port: port).get()
        return try await register(channel)
    }

    /// How often other ports are tried where the system chose the first of several in a row.
    private static let portAttempts = 64

    /// Binds the hand-off's listeners.
    ///
    /// - Throws: an `IOError` where a port is taken; what was bound is closed by ``shutdown()``.
    func bindSides(
        _ configuration: SimulatedEngineConfiguration, _ ports: inout SimulatedEnginePorts
    ) async throws {
        for (listener, port) in configuration.listeners {
            switch listener {
            case .lmcacheInit: ports.initPorts.append(try await bind(listener, port).port)
            case .lmcacheAlloc: ports.allocPorts.append(try await bind(listener, port).port)
            case .lmcacheQuery: ports.queryPorts.append(try await bind(listener, port).port)
            case .bootstrap: ports.bootstrap = try await bind(listener, port).port
            case .channel: continue
            }
        }
        if configuration.handoff == .mooncake, configuration.role != .decode {
            ports.bootstrap = try await bindHTTP(configuration.bootstrapPort)
        }
        let channels = configuration.listeners.filter { if case .channel = $0.listener { true } else { false } }
        guard !channels.isEmpty else { return }
        for attempt in 1... {
            var bound: [any Channel] = []
            do {
                for (listener, port) in channels {
                    // Others count from the first rank's port, so the ranks' are in a row also where the system chose it.
                    let next = port == 0 ? ports.sideChannels.last.map { $0 + 1 } ?? 0 : port
                    let (channel, port) = try await bind(listener, next)
                    bound.append(channel)
                    ports.sideChannels.append(port)
                }
                return
            } catch {
                for channel in bound { try? await channel.close() }
                ports.sideChannels = []
                guard configuration.sideChannelPort == 0, attempt < Self.portAttempts else { throw error }
            }
        }
    }

    private func bind(_ listener: SideListener, _ port: Int) async throws -> (any Channel, port: Int) {
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
                            engine?.side?.received(message, on: listener, from: channel)
                        },
                        onClose: { [weak engine] in
                            engine?.closed(channel)
                            engine?.side?.closed(channel, on: listener)
                        })
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: configuration.host, port: port).get()
        return (channel, try await register(channel))
    }

    private func register(_ channel: any Channel) async throws -> Int {
        let core = core
        try await loop.submit { core.value?.listening(channel) }.get()
        return channel.localAddress?.port ?? 0
    }
}
