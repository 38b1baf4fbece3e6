package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

/// A prefill rank's word that it has stored a request's KV cache on the decoder.
package struct Notification: Sendable, Hashable {
    /// The `disagg_spec.req_id` of the prefill request, as the rank sent it: it may be unknown, late or repeated.
    package var requestID: String
    /// The accepted connection it came on, never reused. Each rank has a connection of its own, so two notifications
    /// of one request on one connection are a duplicate, and on two connections two ranks.
    package var connection: UInt64

    /// Creates a notification.
    package init(requestID: String, connection: UInt64) {
        self.requestID = requestID
        self.connection = connection
    }
}

/// The proxy's end of LMCache's notification channel: a ZeroMQ `PULL` socket that binds, spoken by NIO.
///
/// | peer does                              | listener does                                          |
/// |----------------------------------------|--------------------------------------------------------|
/// | sends a `ProxyNotif`                   | calls `onNotification`                                 |
/// | sends another LMCache message          | ignores and counts it                                  |
/// | sends a message that is none           | counts it, logs at debug, keeps the connection         |
/// | sends several frames as one message    | drops them, counts the message as malformed            |
/// | breaks ZMTP, closes inside a frame     | counts it, closes the connection                       |
/// | does not finish its handshake in 10 s  | counts it, closes the connection                       |
/// | is the 4097th connection               | is closed at once                                      |
///
/// Source: LMCache 0.5.6 `pd_backend.py` 41 and 67; its senders are `PUSH` sockets with default options.
package final class NotificationListener: Sendable {
    /// Most connections at a time. Each prefill rank holds one; the limit bounds memory against strangers.
    package static let defaultMaximumConnections = 4096

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
    private let onNotification: @Sendable (Notification) -> Void
    private let state = NIOLockedValueBox(State())

    /// What has happened so far; readable from anywhere without a lock.
    package let counters = NotificationCounters()

    /// Creates a listener; ``start()`` opens it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen: `localhost`, `*`, an address or name of this machine; port 0 for any free one.
    ///   - group: event loops of NIOPosix; connections are spread over them.
    ///   - maximumConnections: connections beyond this are closed at once.
    ///   - logger: gets a line at debug for what was ignored.
    ///   - onNotification: called on the connection's event loop, in the order of each connection; must not block.
    package init(
        endpoint: Endpoint,
        group: any EventLoopGroup,
        maximumConnections: Int = NotificationListener.defaultMaximumConnections,
        logger: Logger,
        onNotification: @escaping @Sendable (Notification) -> Void
    ) {
        self.endpoint = endpoint
        self.group = group
        self.maximumConnections = maximumConnections
        self.logger = logger
        self.onNotification = onNotification
    }

    /// Binds every address of the endpoint's host with one port and accepts peers from then on.
    ///
    /// - Returns: the port, the chosen one where the endpoint's is 0.
    /// - Throws: ``NotifyError``; nothing is left open then, and `start` may be tried again.
    package func start() async throws -> Int {
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
    package func shutdown() async {
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
        var logger = logger
        logger[metadataKey: "disagg.connection"] = "\(id)"
        let receiver = NotificationReceiver(
            connection: id, counters: counters, logger: logger, onNotification: onNotification)
        try channel.pipeline.syncOperations.addHandler(ZMTPHandler(local: .pull, onEvent: receiver.receive))
    }
}
