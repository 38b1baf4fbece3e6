internal import NIOCore
internal import NIOPosix

/// One ZeroMQ connection to an engine's event socket, made again whenever it ends. Lives on one event loop.
///
/// As SUB it subscribes to everything and hands out messages; as DEALER it asks the replay socket and hands out answers.
final class KVEventLink {
    /// What happens on the connection.
    enum Event {
        case connected
        case message([[UInt8]])
        case closed
    }

    /// A batch of a step with long prompts has some hundred kilobytes.
    private static let maximumFrameBytes = 64 << 20
    private static let reconnectDelay = TimeAmount.milliseconds(500)

    private let local: ZMTP.SocketType
    private let endpoint: Endpoint
    private let eventLoop: any EventLoop
    private let onEvent: (Event) -> Void
    private var channel: (any Channel)?
    private var isStopped = false
    private var isEstablished = false

    /// - Parameter local: `sub` or `dealer`.
    init(
        local: ZMTP.SocketType, endpoint: Endpoint, eventLoop: any EventLoop, onEvent: @escaping (Event) -> Void
    ) {
        self.local = local
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.onEvent = onEvent
    }

    /// Connects, and again after each end.
    func start() {
        guard !isStopped, let bootstrap = ClientBootstrap(validatingGroup: eventLoop) else { return }
        let link = NIOLoopBound(self, eventLoop: eventLoop)
        bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ZMTPHandler(
                        local: link.value.local, maximumFrameBytes: Self.maximumFrameBytes, keepsParts: true
                    ) { link.value.handle($0) }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: endpoint.host, port: endpoint.port).assumeIsolated().whenComplete { result in
                switch result {
                case .success(let channel):
                    if link.value.isStopped { channel.close(promise: nil) } else { link.value.channel = channel }
                    if !channel.isActive { link.value.ended() }
                case .failure: link.value.ended()
                }
            }
    }

    /// Sends a message; lost where there is no connection.
    func send(_ parts: [[UInt8]]) {
        guard let channel, isEstablished else { return }
        for (index, part) in parts.enumerated() {
            channel.write(
                channel.allocator.buffer(bytes: ZMTP.message(part, more: index < parts.count - 1)), promise: nil)
        }
        channel.flush()
    }

    /// Ends it for good.
    func stop() {
        isStopped = true
        channel?.close(promise: nil)
    }

    private func handle(_ event: ZMTPHandler.Event) {
        switch event {
        case .established:
            isEstablished = true
            // The channel is known only when the connect has been told.
            eventLoop.assumeIsolated().execute { [self] in
                // A subscription to the empty prefix: every topic (RFC 29).
                if local == .sub { send([[1]]) }
                if isEstablished { onEvent(.connected) }
            }
        case .message(let body): onEvent(.message([body]))
        case .parts(let parts): onEvent(.message(parts))
        case .multipart, .failed: break
        case .closed: ended()
        }
    }

    private func ended() {
        channel = nil
        if isEstablished { onEvent(.closed) }
        isEstablished = false
        guard !isStopped else { return }
        eventLoop.assumeIsolated().scheduleTask(in: Self.reconnectDelay) { [self] in start() }
    }
}
