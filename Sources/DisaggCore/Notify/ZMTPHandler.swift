import NIOCore

/// Runs a ``ZMTPConnection`` on a channel: the greeting, the handshake's deadline, replies, and one call an event.
///
/// Ends the connection by itself after an error. Lives on its channel's event loop and never leaves it.
final class ZMTPHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What happens on the connection, in order; `failed` at most once, `closed` once and last.
    enum Event {
        case established
        case message([UInt8])
        case multipart
        case parts([[UInt8]])
        case failed(ZMTPError)
        case closed
    }

    /// A peer that has not completed its handshake by then is dropped; libzmq allows 30 s (`ZMQ_HANDSHAKE_IVL`), but a
    /// notification takes microseconds, and each connection holds a place.
    static let defaultHandshakeTimeout = TimeAmount.seconds(10)

    private var connection: ZMTPConnection
    private let handshakeTimeout: TimeAmount
    private let onEvent: (Event) -> Void
    private var deadline: Scheduled<Void>?
    private var opened = false

    init(
        local: ZMTP.SocketType,
        maximumFrameBytes: Int = ZMTP.maximumFrameBytes,
        keepsParts: Bool = false,
        handshakeTimeout: TimeAmount = ZMTPHandler.defaultHandshakeTimeout,
        onEvent: @escaping (Event) -> Void
    ) {
        self.connection = ZMTPConnection(
            local: local, maximumFrameBytes: maximumFrameBytes, keepsParts: keepsParts)
        self.handshakeTimeout = handshakeTimeout
        self.onEvent = onEvent
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { open(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        open(context)
        context.fireChannelActive()
    }

    private func open(_ context: ChannelHandlerContext) {
        guard !opened else { return }
        opened = true
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: handshakeTimeout) {
            guard !self.connection.isEstablished else { return }
            self.fail(.handshakeTimeout, context)
        }
        send(connection.opening, context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.append(unwrapInboundIn(data).readableBytesView)
        do throws(ZMTPError) {
            while let event = try connection.next() { handle(event, context) }
        } catch {
            fail(error, context)
        }
    }

    private func handle(_ event: ZMTPConnection.Event, _ context: ChannelHandlerContext) {
        switch event {
        case .established:
            deadline?.cancel()
            onEvent(.established)
        case .message(let body): onEvent(.message(body))
        case .multipart: onEvent(.multipart)
        case .parts(let parts): onEvent(.parts(parts))
        case .reply(let bytes):
            // A peer that asks without reading the answers must not fill memory: its PONG is lost, as in a full pipe.
            if context.channel.isWritable { send(bytes, context) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if let error = connection.inputClosed() { onEvent(.failed(error)) }
        onEvent(.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func fail(_ error: ZMTPError, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        // Nothing that follows is read: the end of the channel is no second failure.
        _ = connection.inputClosed()
        onEvent(.failed(error))
        context.close(promise: nil)
    }

    private func send(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }
}
