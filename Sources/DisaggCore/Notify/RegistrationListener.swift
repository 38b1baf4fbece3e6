package import Logging
package import NIOCore

/// The proxy's end of the registration pings of `moriio` and `p2p-nccl` engines: a ZeroMQ `ROUTER` socket that binds and
/// never answers.
///
/// Connections are treated as ``NotificationListener`` treats them. Whoever reaches the socket can register an engine, and
/// the proxy sends prompts to engines: bind it to an address that only engines reach.
package final class RegistrationListener: Sendable {
    private let listener: PeerListener
    private let expiry: Duration
    private let loop: any EventLoop
    private let state: NIOLoopBoundBox<(table: RegistrationTable, timer: RepeatedTask?)>
    private let onChange: @Sendable ([EngineRegistration]) -> Void

    /// What has happened so far; `notifications` counts pings.
    package var counters: NotificationCounters { listener.counters }

    /// Creates a listener; ``start()`` opens it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen, as for ``NotificationListener``.
    ///   - group: event loops of NIOPosix.
    ///   - capacity: most engines; pings of others are dropped.
    ///   - expiry: how long an engine may be silent before it is forgotten.
    ///   - logger: gets a line at debug for what was ignored.
    ///   - onChange: gets the whole list whenever an engine comes, changes or goes, on one event loop, in order.
    package init(
        endpoint: Endpoint, group: any EventLoopGroup, capacity: Int = 1024,
        expiry: Duration = RegistrationTable.defaultExpiry, logger: Logger,
        onChange: @escaping @Sendable ([EngineRegistration]) -> Void
    ) {
        let loop = group.next()
        let state = NIOLoopBoundBox<(table: RegistrationTable, timer: RepeatedTask?)>.makeBoxSendingValue(
            (RegistrationTable(capacity: capacity, expiry: expiry), nil), eventLoop: loop)
        self.loop = loop
        self.state = state
        self.expiry = expiry
        self.onChange = onChange
        let counters = NotificationCounters()
        listener = PeerListener(endpoint: endpoint, group: group, logger: logger, counters: counters) {
            channel, connection in
            var logger = logger
            logger[metadataKey: "disagg.connection"] = "\(connection)"
            let receiver = ZMTPReceiver(counters: counters, logger: logger) { body in
                switch EngineRegistration.decode(body) {
                case .registration(let registration):
                    loop.execute {
                        guard state.value.table.heard(registration, at: .now) else { return }
                        onChange(state.value.table.engines)
                    }
                    return .delivered
                case .otherType: return .otherType
                case .malformed: return .malformed
                }
            }
            try channel.pipeline.syncOperations.addHandler(ZMTPHandler(local: .router, onEvent: receiver.receive))
        }
    }

    /// Binds every address of the endpoint's host with one port, and begins to forget silent engines.
    ///
    /// - Returns: the port, the chosen one where the endpoint's is 0.
    /// - Throws: ``NotifyError``.
    package func start() async throws -> Int {
        let port = try await listener.start()
        let interval = max(TimeAmount.milliseconds(1), .nanoseconds(TimeAmount(expiry).nanoseconds / 4))
        let (state, loop, onChange) = (state, loop, onChange)
        try await loop.submit {
            state.value.timer = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
                if state.value.table.expire(at: .now) { onChange(state.value.table.engines) }
            }
        }.get()
        return port
    }

    /// Stops listening and forgetting; returns when all connections are closed.
    package func shutdown() async {
        let state = state
        try? await loop.submit { state.value.timer?.cancel() }.get()
        await listener.shutdown()
    }
}
