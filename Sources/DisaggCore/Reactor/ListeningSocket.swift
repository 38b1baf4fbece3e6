internal import CLinuxSockets
internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Accepts connections on one loop.
final class ListeningSocket: ReactorSource {
    private static let backlog: CInt = 4096
    /// Connections accepted before other sockets have their turn.
    private static let maximumAccepts = 64
    /// Pause where the process has no descriptors left: the waiting client would be reported for ever.
    private static let exhaustionPause = TimeAmount.milliseconds(100)

    /// Whether nothing was accepted since it was said why.
    private var isResting = false
    private let hasRoom: () -> Bool
    private let crowded: () -> Void
    private let accepted: (CInt) -> Void
    private let exhausted: (SocketError) -> Void

    /// Binds and listens; nothing is accepted before ``start()``.
    ///
    /// - Parameters:
    ///   - sharesPort: whether other sockets of this process may be bound to the address too (`SO_REUSEPORT`).
    ///   - hasRoom: whether another client can be served; while not, clients wait in the system's queue.
    ///   - crowded: called as long as a client waits that cannot be accepted, every 100 ms.
    ///   - accepted: takes the descriptor of a new connection, and owns it.
    ///   - exhausted: hears once why nothing could be accepted.
    init(
        on address: SocketAddress, sharesPort: Bool, reactor: Reactor, hasRoom: @escaping () -> Bool = { true },
        crowded: @escaping () -> Void = {}, accepted: @escaping (CInt) -> Void,
        exhausted: @escaping (SocketError) -> Void
    ) throws(SocketError) {
        self.hasRoom = hasRoom
        self.crowded = crowded
        self.accepted = accepted
        self.exhausted = exhausted
        super.init(reactor: reactor, descriptor: try SocketOptions.makeStreamSocket(for: address))
        SocketOptions.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { SocketOptions.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        // Accepted sockets inherit it (Linux).
        SocketOptions.set(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        let bound = address.withSockAddr { pointer, size in bind(descriptor, pointer, socklen_t(size)) }
        guard bound == 0 else { throw SocketError("bind", errno) }
        guard listen(descriptor, Self.backlog) == 0 else { throw SocketError("listen", errno) }
    }

    func start() -> Bool { reactor.add(self, events: .readable) }

    override func ready(_ events: ReadyEvents) {
        // Somebody waits.
        guard hasRoom() else { return rest(EMFILE) }
        for _ in 0..<Self.maximumAccepts {
            guard isListening, hasRoom() else { return }
            let client = accept4(
                descriptor, nil, nil, CInt(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            if client >= 0 {
                isResting = false
                accepted(client)
                continue
            }
            switch errno {
            case EAGAIN: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return rest(errno)
            // The client left before it was accepted.
            default: continue
            }
        }
    }

    private var isListening: Bool { descriptor >= 0 }

    private func rest(_ code: CInt) {
        if !isResting { exhausted(SocketError("accept a client", code)) }
        isResting = true
        crowded()
        reactor.modify(self, events: [])
        reactor.assumeIsolated().scheduleTask(in: Self.exhaustionPause) { [self] in
            if isListening { reactor.modify(self, events: .readable) }
        }
    }
}
