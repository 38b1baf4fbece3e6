internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Connects to the first of several addresses that answers ("happy eyeballs", RFC 8305 §5): the next one is tried where
/// one fails, and beside it where one does not answer soon.
final class Connector {
    /// The recommended Connection Attempt Delay of RFC 8305 §5.
    static let attemptDelay = TimeAmount.milliseconds(250)

    /// Why there is no connection.
    enum Failure: Error, CustomStringConvertible {
        case unresolved
        case timeout
        case system(CInt)
        /// This process can open no further socket: the other side has no part in it.
        case exhausted(CInt)

        init(_ code: CInt) {
            switch code {
            case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL: self = .exhausted(code)
            default: self = .system(code)
            }
        }

        var description: String {
            switch self {
            case .unresolved: "the host name does not resolve"
            case .timeout: "no answer within the connect timeout"
            case .system(ECONNREFUSED): "connection refused"
            case .system(let code): SocketError.text(code)
            case .exhausted(let code):
                "this proxy can open no further socket (\(SocketError.text(code))); raise its limit of open files (ulimit -n)"
            }
        }
    }

    private let reactor: Reactor
    private let completion: (Result<ReactorSource, Failure>) -> Void
    private var waiting: ArraySlice<SocketAddress>
    private var attempts: [ConnectAttempt] = []
    private var firstError: CInt?
    private var deadline: Scheduled<Void>?
    private var pause: Scheduled<Void>?
    private var isDone = false

    /// Connects.
    ///
    /// - Parameters:
    ///   - addresses: in the order to try them.
    ///   - timeout: for all attempts together.
    ///   - completion: called once, not before this returns; with a watched source whose descriptor is connected.
    static func connect(
        to addresses: [SocketAddress], reactor: Reactor, timeout: TimeAmount,
        completion: @escaping (Result<ReactorSource, Failure>) -> Void
    ) {
        let connector = Connector(addresses, reactor, completion)
        guard !addresses.isEmpty else {
            return reactor.defer { connector.finish(.failure(.unresolved)) }
        }
        connector.deadline = reactor.assumeIsolated().scheduleTask(in: timeout) {
            connector.finish(.failure(.timeout))
        }
        connector.tryNext()
    }

    private init(
        _ addresses: [SocketAddress], _ reactor: Reactor,
        _ completion: @escaping (Result<ReactorSource, Failure>) -> Void
    ) {
        waiting = addresses[...]
        self.reactor = reactor
        self.completion = completion
    }

    private func tryNext() {
        pause?.cancel()
        pause = nil
        guard !isDone else { return }
        guard let address = waiting.popFirst() else {
            if attempts.isEmpty { finish(.failure(Failure(firstError ?? ECONNREFUSED))) }
            return
        }
        do throws(SocketError) {
            let attempt = try ConnectAttempt(to: address, reactor: reactor) { [self] attempt, code in
                ended(attempt, code)
            }
            attempts.append(attempt)
            if !waiting.isEmpty {
                pause = reactor.assumeIsolated().scheduleTask(in: Self.attemptDelay) { [self] in tryNext() }
            }
        } catch {
            if firstError == nil { firstError = error.code }
            reactor.defer { [self] in tryNext() }
        }
    }

    private func ended(_ attempt: ConnectAttempt, _ code: CInt) {
        guard !isDone else { return }
        attempts.removeAll { $0 === attempt }
        if code == 0 { return finish(.success(attempt)) }
        attempt.close()
        if firstError == nil { firstError = code }
        tryNext()
    }

    private func finish(_ result: Result<ReactorSource, Failure>) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        pause?.cancel()
        for attempt in attempts { attempt.close() }
        attempts = []
        completion(result)
    }
}

/// A socket that is being connected.
private final class ConnectAttempt: ReactorSource {
    private var completion: ((ConnectAttempt, CInt) -> Void)?

    init(
        to address: SocketAddress, reactor: Reactor, completion: @escaping (ConnectAttempt, CInt) -> Void
    ) throws(SocketError) {
        self.completion = completion
        super.init(reactor: reactor, descriptor: try SocketOptions.makeStreamSocket(for: address))
        SocketOptions.set(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        let code = address.withSockAddr { pointer, size in
            connect(descriptor, pointer, socklen_t(size)) == 0 ? 0 : errno
        }
        guard code == 0 || code == EINPROGRESS || code == EINTR else { throw SocketError("connect", code) }
        guard reactor.add(self, events: .writable) else { throw SocketError("watch a socket", errno) }
    }

    override func ready(_ events: ReadyEvents) {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        _ = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        // A hang-up alone has no error number.
        if code == 0, events.contains(.hangUp) { code = ECONNREFUSED }
        let completion = completion
        self.completion = nil
        completion?(self, code)
    }

    override func close() {
        completion = nil
        super.close()
    }
}
