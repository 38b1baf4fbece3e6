import NIOCore
import NIOHTTP1

/// One client connection of a simulated engine, with uvicorn's manners: keep-alive, an idle limit after each answer,
/// `date` and `server` first in every head.
final class SimulatedHTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Largest request body, in bytes: enough for 1M token ids, and a bound on memory.
    private static let maximumBodyBytes = 256 << 20

    private let core: SimulatedEngineCore
    private var context: ChannelHandlerContext?
    private var exchange: SimulatedExchange?
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var idleTimer: Scheduled<Void>?
    private var keepsAlive = true

    init(core: SimulatedEngineCore) { self.core = core }

    var isWritable: Bool { context?.channel.isWritable ?? false }
    /// No request is being read or answered.
    var isIdle: Bool { exchange == nil && head == nil }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        core.opened(context.channel, handler: self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            idleTimer?.cancel()
            self.head = head
            body = []
            if head.headers.contains(name: "expect") {
                context.writeAndFlush(
                    wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
            }
        case .body(let buffer):
            guard body.count + buffer.readableBytes <= Self.maximumBodyBytes else { return context.close(promise: nil) }
            body.append(contentsOf: buffer.readableBytesView)
        case .end:
            guard let head else { return }
            keepsAlive = head.isKeepAlive
            let exchange = SimulatedExchange(
                head: head, handler: self, hasFlatErrors: core.configuration.hasFlatErrors)
            self.exchange = exchange
            let body = self.body
            self.head = nil
            self.body = []
            core.handle(exchange, body: body)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { exchange?.onWritable?() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        idleTimer?.cancel()
        core.closed(context.channel)
        exchange?.connectionClosed()
        exchange = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Answers

    func write(head status: Int, headers: HTTPHeaders) {
        guard let context else { return }
        var all: HTTPHeaders = ["date": core.date(), "server": "uvicorn"]
        all.add(contentsOf: headers)
        if !keepsAlive { all.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: all)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    func write(body: String) {
        guard let context else { return }
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
    }

    func flush() { context?.flush() }

    func end() {
        exchange = nil
        guard let context else { return }
        guard keepsAlive else {
            // Closing before the write is through would cut the answer off.
            let channel = context.channel
            return context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        idleTimer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(core.configuration.keepAlive)) {
            [weak self] in
            guard let self, self.isIdle else { return }
            self.context?.close(promise: nil)
        }
    }
}
