package import NIOCore
internal import NIOPosix
internal import Synchronization

/// Accepts clients: one listening socket for each loop, shared by `SO_REUSEPORT`.
///
/// The kernel spreads connections by a hash of their addresses, which is uneven for a few of them; so a loop that has more
/// open than another gives the new one away. A client then stays where it is.
///
/// Only as many clients are accepted as have descriptors for their engines' connections, too; more wait in the system's queue,
/// and connections that have been without a request for longest end for them.
package final class DownstreamListener: Sendable {
    private let sockets: [NIOLoopBound<ListeningSocket>]

    /// The port that is bound.
    package let port: Int

    private init(sockets: [NIOLoopBound<ListeningSocket>], port: Int) {
        self.sockets = sockets
        self.port = port
    }

    /// Binds and begins to accept.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen; port 0 lets the system choose.
    ///   - handlers: the request handler of each loop.
    ///   - maximumClients: how many connections are open at once; further clients wait.
    ///   - exhausted: hears why clients could not be accepted for a moment.
    /// - Throws: ``SocketError`` where the address cannot be bound.
    package static func bind(
        to endpoint: Endpoint, limits: DownstreamLimits,
        handlers: [NIOLoopBound<any ClientRequestHandler>], reactors: [Reactor],
        maximumClients: Int = OpenFileLimit.clients,
        exhausted: @escaping @Sendable (SocketError) -> Void = { _ in }
    ) async throws -> DownstreamListener {
        let balance = AcceptBalance(count: reactors.count, maximum: maximumClients)
        let places = zip(handlers, reactors).map { AcceptPlace(handler: $0, reactor: $1) }
        var address = try await NIOThreadPool.singleton.runIfActive {
            try SocketAddress.makeAddressResolvingHost(endpoint.host, port: endpoint.port)
        }
        var sockets: [NIOLoopBound<ListeningSocket>] = []
        do {
            for (index, reactor) in reactors.enumerated() {
                let target = address
                let (socket, port) = try await reactor.submit {
                    // The first socket is bound alone, for two proxies on one port would share it unseen.
                    if index == 0, endpoint.port != 0 {
                        try ListeningSocket(
                            on: target, sharesPort: false, reactor: reactor, accepted: { _ in }, exhausted: { _ in }
                        ).close()
                    }
                    let socket = try ListeningSocket(on: target, sharesPort: true, reactor: reactor) {
                        balance.hasRoom
                    } crowded: {
                        for place in places { place.makeRoom() }
                    } accepted: { descriptor in
                        let chosen = balance.choose(index)
                        places[chosen].take(descriptor, limits: limits, balance: balance, index: chosen)
                    } exhausted: {
                        exhausted($0)
                    }
                    return (NIOLoopBound(socket, eventLoop: reactor), SocketOptions.localPort(of: socket.descriptor))
                }.get()
                sockets.append(socket)
                if let port { address.port = port }
            }
            for socket in sockets {
                try await socket.eventLoop.submit { [socket] in
                    guard socket.value.start() else { throw SocketError("watch a socket", errno) }
                }.get()
            }
        } catch {
            await close(sockets)
            throw error
        }
        return DownstreamListener(sockets: sockets, port: address.port ?? endpoint.port)
    }

    /// Stops accepting.
    package func close() async { await Self.close(sockets) }

    private static func close(_ sockets: [NIOLoopBound<ListeningSocket>]) async {
        for socket in sockets { _ = try? await socket.eventLoop.submit { socket.value.close() }.get() }
    }
}

/// A loop that takes clients.
private struct AcceptPlace: Sendable {
    let handler: NIOLoopBound<any ClientRequestHandler>
    let reactor: Reactor

    func take(_ descriptor: CInt, limits: DownstreamLimits, balance: AcceptBalance, index: Int) {
        if reactor.inEventLoop {
            open(descriptor, limits, balance, index)
        } else {
            reactor.execute { open(descriptor, limits, balance, index) }
        }
    }

    func makeRoom() {
        reactor.execute { handler.value.makeRoom() }
    }

    private func open(_ descriptor: CInt, _ limits: DownstreamLimits, _ balance: AcceptBalance, _ index: Int) {
        _ = DownstreamConnection(
            reactor: reactor, descriptor: descriptor, handler: handler.value, limits: limits
        ) { balance.closed(index) }
    }
}

/// How many clients each loop has.
private final class AcceptBalance: Sendable {
    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    private let counts: [Counter]
    private let maximum: Int

    init(count: Int, maximum: Int) {
        counts = (0..<count).map { _ in Counter() }
        self.maximum = maximum
    }

    /// Whether all loops together may have another client.
    var hasRoom: Bool { counts.reduce(0) { $0 + $1.value.load(ordering: .relaxed) } < maximum }

    /// The loop for a client that this one accepted: itself, unless another has fewer.
    func choose(_ own: Int) -> Int {
        var best = own
        var fewest = counts[own].value.load(ordering: .relaxed)
        for (index, counter) in counts.enumerated() {
            let open = counter.value.load(ordering: .relaxed)
            if open < fewest {
                best = index
                fewest = open
            }
        }
        counts[best].value.wrappingAdd(1, ordering: .relaxed)
        return best
    }

    func closed(_ index: Int) { counts[index].value.wrappingSubtract(1, ordering: .relaxed) }
}
