package import Logging
package import NIOCore

/// One event loop's connections to the backends. Never leaves its loop.
package final class UpstreamPool {
    /// uvicorn closes a connection that is idle for 5 s (`VLLM_HTTP_TIMEOUT_KEEP_ALIVE`); stay below.
    static let maximumIdle = TimeAmount.seconds(4)
    /// Idle connections kept for one backend.
    static let maximumIdlePerBackend = 1024

    private let reactor: Reactor
    private let resolver: NameResolver
    private let connectTimeout: TimeAmount
    /// Whether what happens to connections counts for or against backends.
    let judges: Bool
    private let logger: Logger
    private var places: [ObjectIdentifier: BackendConnections] = [:]
    /// The loop's coarse clock, kept by ``LoopContext``.
    var tick = 0
    private(set) var isShutDown = false
    /// Whether the last connection could not be opened for want of descriptors; said once.
    private var isExhausted = false

    package init(
        reactor: Reactor, connectTimeout: TimeAmount, judges: Bool = true, logger: Logger = Logger(label: "disagg")
    ) {
        self.judges = judges
        self.logger = logger
        self.reactor = reactor
        resolver = NameResolver(reactor: reactor)
        self.connectTimeout = connectTimeout
    }

    /// Sends a request to a backend on an idle connection, or on a new one.
    ///
    /// - Parameter fresh: whether to open a new connection whatever is idle: the retry after ``UpstreamFailure/staleConnection``.
    package func send(
        head: ByteBuffer, body: [ByteBuffer], to backend: BackendState, fresh: Bool = false,
        for exchange: UpstreamExchange
    ) {
        guard !exchange.isCancelled else { return }
        if !fresh, let connection = takeIdle(backend) {
            connection.send(head: head, body: body, for: exchange)
            return
        }
        connect(to: backend) { [self] result in
            switch result {
            case .success(let connection):
                if exchange.isCancelled {
                    // Nobody wants it any more; the next request will.
                    release(connection)
                } else {
                    connection.send(head: head, body: body, for: exchange)
                }
            case .failure(let error):
                if !exchange.isCancelled { exchange.failed(error) }
            }
        }
    }

    /// Finds out whether a backend takes connections: an idle one stands, or a new one can be made (and is kept).
    package func checkReachable(_ backend: BackendState, completion: @escaping (UpstreamFailure?) -> Void) {
        if places[ObjectIdentifier(backend)]?.hasIdle == true { return completion(nil) }
        connect(to: backend) { [self] result in
            switch result {
            case .success(let connection):
                release(connection)
                completion(nil)
            case .failure(let error): completion(error)
            }
        }
    }

    private func takeIdle(_ backend: BackendState) -> UpstreamConnection? {
        guard let place = places[ObjectIdentifier(backend)], place.hasIdle else { return nil }
        return place.idle.popLast()
    }

    func release(_ connection: UpstreamConnection) {
        guard !isShutDown, connection.place.idle.count < Self.maximumIdlePerBackend else { return connection.shut() }
        connection.wasPooled()
        connection.place.idle.append(connection)
    }

    func forget(_ connection: UpstreamConnection) {
        let place = connection.place
        if let index = place.idle.lastIndex(where: { $0 === connection }) { place.idle.remove(at: index) }
        place.open -= 1
        if place.open == 0 { places[ObjectIdentifier(connection.backend)] = nil }
    }

    /// Where the connections to a backend are kept.
    private func place(of backend: BackendState) -> BackendConnections {
        let key = ObjectIdentifier(backend)
        if let place = places[key] { return place }
        let place = BackendConnections()
        places[key] = place
        return place
    }

    /// A backend that could not be connected answered.
    func backendIsBack(_ backend: BackendState) {
        logger.notice("backend answers again", metadata: ["disagg.backend": "\(backend.backend.id)"])
    }

    /// Closes connections that have been idle too long.
    package func closeExpired() {
        let oldest = NIODeadline.now() - Self.maximumIdle
        for place in Array(places.values) {
            for connection in place.idle where connection.idleSince < oldest { connection.shut() }
        }
    }

    /// Closes all idle connections and keeps none from now on.
    package func shutDown() {
        isShutDown = true
        _ = shedIdle()
    }

    /// Closes all idle connections; false where there were none.
    private func shedIdle() -> Bool {
        let all = places.values.flatMap(\.idle)
        for connection in all { connection.shut() }
        return !all.isEmpty
    }

    private func connect(
        to backend: BackendState, completion: @escaping (Result<UpstreamConnection, UpstreamFailure>) -> Void
    ) {
        if let address = backend.address { return connect(to: [address], of: backend, completion: completion) }
        resolver.resolve(host: backend.backend.host, port: backend.backend.port) { [self] addresses in
            connect(to: addresses, of: backend, completion: completion)
        }
    }

    /// - Parameter mayShed: whether idle connections may be given up for this one.
    private func connect(
        to addresses: [SocketAddress], of backend: BackendState, mayShed: Bool = true,
        completion: @escaping (Result<UpstreamConnection, UpstreamFailure>) -> Void
    ) {
        Connector.connect(to: addresses, reactor: reactor, timeout: connectTimeout) { [self] result in
            switch result {
            case .success(let source):
                let connection = UpstreamConnection(
                    adopting: source, backend: backend, place: place(of: backend), pool: self)
                connection.becomesIdle()
                isExhausted = false
                completion(.success(connection))
            case .failure(.exhausted(let code)):
                // Not the backend's fault: it stays in the choice.
                if mayShed, shedIdle() {
                    return connect(to: addresses, of: backend, mayShed: false, completion: completion)
                }
                let error = Connector.Failure.exhausted(code)
                if !isExhausted { logger.error("\(error)") }
                isExhausted = true
                completion(.failure(.connect(error.description)))
            case .failure(let error):
                if judges, backend.eject(at: .now()) {
                    logger.warning(
                        "backend cannot be connected, it is left out until it answers again",
                        metadata: [
                            "disagg.backend": "\(backend.backend.id)", "disagg.address": "\(backend.authority)",
                            "disagg.error": "\(error)",
                        ])
                }
                completion(.failure(.connect(error.description)))
            }
        }
    }
}

/// One event loop's connections to one backend. Every connection knows its place, so that none is looked for.
final class BackendConnections {
    /// Those that wait for a request; the last one was used last.
    var idle: [UpstreamConnection] = []
    /// All that are open.
    var open = 0

    /// Whether a connection waits that has not been idle for too long; closes those that have.
    var hasIdle: Bool {
        while let last = idle.last {
            if last.isIdle, last.idleSince >= NIODeadline.now() - UpstreamPool.maximumIdle { return true }
            idle.removeLast()
            last.shut()
        }
        return false
    }
}
