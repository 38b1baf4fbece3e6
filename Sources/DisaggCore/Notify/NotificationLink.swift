import DequeModule
import NIOCore
import NIOPosix

/// The queue and the connection of one ``NotificationSender`` or ``PingSender``. Lives on one event loop and never leaves it.
///
/// | state       | leaves it when                                                                          |
/// |-------------|-----------------------------------------------------------------------------------------|
/// | idle        | a message is queued → connecting                                                        |
/// | connecting  | connected → handshaking; refused → waiting                                              |
/// | handshaking | the peer has the matching type → established, the queue is written; closed → waiting     |
/// | established | closed → waiting; what was not written stays queued                                     |
/// | waiting     | the delay is over → connecting                                                          |
/// | closed      | never                                                                                   |
final class NotificationLink {
    private enum State {
        case idle
        case connecting
        case handshaking(any Channel)
        case established(any Channel)
        case waiting(Scheduled<Void>)
        case closed
    }

    /// What waits at shutdown is given this time.
    private static let linger = TimeAmount.seconds(1)
    /// libzmq's `ZMQ_RECONNECT_IVL`; it adds a random part of the same length.
    private static let reconnectMilliseconds = Int64(100)

    private let local: ZMTP.SocketType
    private let host: String
    private let port: Int
    private let eventLoop: any EventLoop
    private var state = State.idle
    private var queue = Deque<[UInt8]>()
    /// How many messages at the queue's front were handed to the present channel.
    private var handedOver = 0
    private var shutdownPromises: [EventLoopPromise<Void>] = []

    /// - Parameter local: the sending socket's type.
    init(local: ZMTP.SocketType, host: String, port: Int, eventLoop: any EventLoop) {
        self.local = local
        // As for ZeroMQ, whose sockets are IPv4 only by default.
        self.host = host == "localhost" ? "127.0.0.1" : host
        self.port = port
        self.eventLoop = eventLoop
    }

    /// Queues a framed message.
    ///
    /// - Returns: false where it was dropped.
    func enqueue(_ message: [UInt8]) -> Bool {
        if case .closed = state { return false }
        guard shutdownPromises.isEmpty, queue.count < NotificationSender.maximumQueued else { return false }
        queue.append(message)
        switch state {
        case .idle: connect()
        case .established(let channel): flush(channel)
        case .connecting, .handshaking, .waiting, .closed: break
        }
        return true
    }

    /// Closes as soon as the queue is empty or ``linger`` is over.
    func shutDown(_ done: EventLoopPromise<Void>) {
        if case .closed = state { return done.succeed() }
        shutdownPromises.append(done)
        if queue.isEmpty { return close() }
        eventLoop.assumeIsolated().scheduleTask(in: Self.linger) { self.close() }
    }

    private func connect() {
        guard let bootstrap = ClientBootstrap(validatingGroup: eventLoop) else { return close() }
        state = .connecting
        let link = NIOLoopBound(self, eventLoop: eventLoop)
        bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ZMTPHandler(local: link.value.local) { link.value.handle($0, channel) }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: host, port: port).assumeIsolated().whenComplete { self.connected($0) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        switch (state, result) {
        case (.connecting, .success(let channel)) where channel.isActive: state = .handshaking(channel)
        case (.connecting, _): wait()
        case (_, .success(let channel)): channel.close(promise: nil)
        case (_, .failure): break
        }
    }

    private func handle(_ event: ZMTPHandler.Event, _ channel: any Channel) {
        switch (event, state) {
        case (.established, .handshaking(let current)) where current === channel:
            state = .established(channel)
            flush(channel)
        case (.closed, .handshaking(let current)) where current === channel: wait()
        case (.closed, .established(let current)) where current === channel: wait()
        default: break
        }
    }

    private func wait() {
        handedOver = 0
        let delay = Self.reconnectMilliseconds + Int64.random(in: 0..<Self.reconnectMilliseconds)
        state = .waiting(
            eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(delay)) {
                if case .waiting = self.state { self.connect() }
            })
    }

    private func flush(_ channel: any Channel) {
        guard handedOver < queue.count else { return }
        for message in queue[handedOver...] {
            handedOver += 1
            channel.write(channel.allocator.buffer(bytes: message)).assumeIsolated().whenSuccess {
                self.written(on: channel)
            }
        }
        channel.flush()
    }

    /// The first message is with the kernel. Channels complete their writes in order, and fail what is left before they
    /// become inactive, so the count fits the queue.
    private func written(on channel: any Channel) {
        guard case .established(let current) = state, current === channel, handedOver > 0 else { return }
        queue.removeFirst()
        handedOver -= 1
        if queue.isEmpty, !shutdownPromises.isEmpty { close() }
    }

    private func close() {
        if case .closed = state { return }
        let last = state
        state = .closed
        queue.removeAll()
        let promises = shutdownPromises
        shutdownPromises = []
        switch last {
        case .handshaking(let channel), .established(let channel):
            channel.close(promise: nil)
            channel.closeFuture.whenComplete { _ in Self.succeed(promises) }
        case .waiting(let timer):
            timer.cancel()
            Self.succeed(promises)
        case .idle, .connecting, .closed: Self.succeed(promises)
        }
    }

    private static func succeed(_ promises: [EventLoopPromise<Void>]) {
        for promise in promises { promise.succeed() }
    }
}
