import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Binds every address of a host with one port, admits a bounded number of connections, and closes all of them in the end:
/// what all sockets on which engines report have in common.
final class PeerListener: Sendable {
    /// Most connections at a time where nothing else is said: a bound on memory against strangers.
    static let defaultMaximumConnections = 4096

    /// How often another port is tried where the system chose one that is free for IPv4 only.
    private static let portAttempts = 16

    private enum Phase { case idle, starting, listening, shutDown }

    private struct State {
        var phase = Phase.idle
        var servers: [any Channel] = []
        var peers: [UInt64: any Channel] = [:]
    }

    private let endpoint: Endpoint
    private let group: any EventLoopGroup
    private let maximumConnections: Int
    private let logger: Logger
    private let onAccept: @Sendable (any Channel, _ connection: UInt64) throws -> Void
    private let state = NIOLockedValueBox(State())

    /// What has happened so far; readable from anywhere without a lock.
    let counters: NotificationCounters

    /// Creates a listener; ``start()`` opens it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen: `localhost`, `*`, an address or name of this machine; port 0 for any free one.
    ///   - group: event loops of NIOPosix; connections are spread over them.
    ///   - maximumConnections: connections beyond this are closed at once.
    ///   - logger: gets a line at debug for what was refused.
    ///   - counters: count connections, and what else the owner counts.
    ///   - onAccept: sets a connection's handlers up, on its event loop; gets its number, never used twice.
    init(
        endpoint: Endpoint, group: any EventLoopGroup, maximumConnections: Int = PeerListener.defaultMaximumConnections,
        logger: Logger,
        counters: NotificationCounters = NotificationCounters(),
        onAccept: @escaping @Sendable (any Channel, _ connection: UInt64) throws -> Void
    ) {
        self.endpoint = endpoint
        self.group = group
        self.maximumConnections = maximumConnections
        self.logger = logger
        self.counters = counters
        self.onAccept = onAccept
    }

    /// Binds every address of the endpoint's host with one port and accepts peers from then on.
    ///
    /// - Returns: the port, the chosen one where the endpoint's is 0.
    /// - Throws: ``NotifyError``; nothing is left open then, and `start` may be tried again.
    func start() async throws -> Int {
        try state.withLockedValue { state in
            switch state.phase {
            case .idle: state.phase = .starting
            case .shutDown: throw NotifyError.shutDown
            case .starting, .listening: throw NotifyError.alreadyStarted
            }
        }
        do {
            let servers = try await bind()
            let running = state.withLockedValue { state in
                guard state.phase == .starting else { return false }
                state.phase = .listening
                state.servers = servers
                return true
            }
            guard running else {
                await Self.close(servers)
                throw NotifyError.shutDown
            }
            return servers.first?.localAddress?.port ?? endpoint.port
        } catch {
            state.withLockedValue { if $0.phase == .starting { $0.phase = .idle } }
            throw error
        }
    }

    /// Stops accepting and closes every connection; returns when all are closed. Calling it again does nothing.
    func shutdown() async {
        let channels = state.withLockedValue { state in
            state.phase = .shutDown
            return state.servers + Array(state.peers.values)
        }
        await Self.close(channels)
    }

    private static func close(_ channels: [any Channel]) async {
        for channel in channels { channel.close(promise: nil) }
        for channel in channels { try? await channel.closeFuture.get() }
    }

    private func bind() async throws -> [any Channel] {
        let endpoint = endpoint
        let addresses = try await NIOThreadPool.singleton.runIfActive { try ListenAddress.resolve(endpoint) }
        for attempt in 1... {
            do {
                return try await bind(addresses)
            } catch let error as NotifyError {
                // With port 0 the system chooses by the first address; the others may have that port in use.
                guard endpoint.port == 0, error.isPortTaken, attempt < Self.portAttempts else { throw error }
            }
        }
        return []
    }

    private func bind(_ addresses: [ListenAddress]) async throws -> [any Channel] {
        var servers: [any Channel] = []
        for var candidate in addresses {
            if let port = servers.first?.localAddress?.port { candidate.address.port = port }
            let failure: NotifyError
            do {
                servers.append(try await bootstrap(candidate).bind(to: candidate.address).get())
                continue
            } catch let error as IOError {
                let bound = Endpoint(
                    host: candidate.address.ipAddress ?? endpoint.host, port: candidate.address.port ?? endpoint.port)
                if error.isMissingAddress, !candidate.required { continue }
                failure =
                    error.isTaken
                    ? .portTaken(bound)
                    : error.isMissingAddress ? .foreignAddress(bound) : .bindFailed(bound, reason: "\(error)")
            } catch let error as NotifyError {
                failure = error
            }
            await Self.close(servers)
            throw failure
        }
        guard !servers.isEmpty else { throw NotifyError.foreignAddress(endpoint) }
        return servers
    }

    private func bootstrap(_ candidate: ListenAddress) throws -> ServerBootstrap {
        guard var bootstrap = ServerBootstrap(validatingGroup: group) else { throw NotifyError.incompatibleGroup }
        if candidate.address.protocol == .inet6 {
            let only = ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only)
            bootstrap = bootstrap.serverChannelOption(only, value: candidate.dualStack ? 0 : 1)
        }
        // Peers reconnect in a burst when the proxy restarts.
        return bootstrap.serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // A rank's machine may vanish without a word; its connection must not hold a place for ever.
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel) }
            }
    }

    private func accept(_ channel: any Channel) throws {
        let id = counters.nextConnection()
        let admitted = state.withLockedValue { state in
            guard state.phase != .shutDown, state.peers.count < maximumConnections else { return false }
            state.peers[id] = channel
            return true
        }
        guard admitted else {
            counters.refuse()
            logger.debug("refused a notification connection", metadata: ["disagg.limit": "\(maximumConnections)"])
            throw ChannelError.ioOnClosedChannel
        }
        channel.closeFuture.whenComplete { _ in
            self.state.withLockedValue { state in _ = state.peers.removeValue(forKey: id) }
        }
        try onAccept(channel, id)
    }
}
