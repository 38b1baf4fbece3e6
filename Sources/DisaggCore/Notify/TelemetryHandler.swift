import Logging
import NIOCore
import NIOHTTP1

/// One connection of a ``TelemetryListener``. Lives on its channel's event loop and never leaves it.
final class TelemetryHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let counters: NotificationCounters
    private let logger: Logger
    private let onNotification: @Sendable (Notification) -> Void
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(counters: NotificationCounters, logger: Logger, onNotification: @escaping @Sendable (Notification) -> Void) {
        self.counters = counters
        self.logger = logger
        self.onNotification = onNotification
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer):
            guard head != nil else { return }
            guard body.count + buffer.readableBytes <= TelemetryListener.maximumBodyBytes else {
                counters.countMalformed()
                head = nil
                return answer(.payloadTooLarge, keepsAlive: false, context)
            }
            body.append(contentsOf: buffer.readableBytesView)
        case .end:
            guard let head else { return }
            self.head = nil
            answer(take(head, body), keepsAlive: head.isKeepAlive, context)
            body = []
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        counters.countProtocolError()
        context.close(promise: nil)
    }

    private func take(_ head: HTTPRequestHead, _ body: [UInt8]) -> HTTPResponseStatus {
        guard head.uri.prefix(while: { $0 != "?" }) == TelemetryListener.path else { return .notFound }
        guard head.method == .POST else { return .methodNotAllowed }
        guard let message = try? JSONView(parsing: body), let event = message["event"]?.string else {
            counters.countMalformed()
            logger.debug("ignored malformed telemetry", metadata: ["disagg.bytes": "\(body.count)"])
            return .badRequest
        }
        guard event == "request_store_finished" else {
            counters.countOtherMessage()
            return .ok
        }
        let rank = UInt64(exactly: message["kv_rank"]?.int ?? 0) ?? 0
        for element in message["request_ids_set"]?.elements ?? [] {
            guard let id = element.string.flatMap(RequestID.find) else {
                counters.countOtherMessage()
                continue
            }
            counters.countNotification()
            onNotification(Notification(requestID: id, connection: rank &+ 1))
        }
        return .ok
    }

    private func answer(_ status: HTTPResponseStatus, keepsAlive: Bool, _ context: ChannelHandlerContext) {
        var headers: HTTPHeaders = ["content-length": "2", "content-type": "application/json"]
        if !keepsAlive { headers.add(name: "connection", value: "close") }
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "{}")))), promise: nil)
        let done = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
        guard !keepsAlive else { return }
        let channel = context.channel
        done.futureResult.whenComplete { _ in channel.close(promise: nil) }
    }
}
