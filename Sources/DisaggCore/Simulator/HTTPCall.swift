import NIOCore
import NIOHTTP1
import NIOPosix

/// One HTTP request of a simulated engine to another server, on the engine's loop: bootstrap queries, telemetry, a side-car's
/// prefill.
final class HTTPCall {
    struct Request {
        var method = HTTPMethod.GET
        var path: String
        var headers: HTTPHeaders = [:]
        var body: [UInt8] = []
    }

    struct Answer {
        var status: Int
        var body: [UInt8]
    }

    /// Largest answer kept, in bytes.
    private static let maximumBodyBytes = 64 << 20

    private let request: Request
    private let endpoint: Endpoint
    private let loop: any EventLoop
    private var channel: (any Channel)?
    private var onEnd: ((Answer?) -> Void)?

    init(_ request: Request, to endpoint: Endpoint, on loop: any EventLoop) {
        self.request = request
        self.endpoint = endpoint
        self.loop = loop
    }

    /// Sends the request; `onEnd` is called once, with nil where no complete answer came.
    func start(_ onEnd: @escaping (Answer?) -> Void) {
        self.onEnd = onEnd
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let call = bound.value
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(Collector { call.end($0) })
                }
            }
            .connect(host: endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host, port: endpoint.port)
            .hop(to: loop).assumeIsolated()
            .whenComplete { result in
                guard case .success(let channel) = result else { return self.end(nil) }
                self.channel = channel
                guard self.onEnd != nil else { return channel.close(promise: nil) }
                self.send(on: channel)
            }
    }

    /// Closes the connection; `onEnd` is not called any more.
    func cancel() {
        onEnd = nil
        channel?.close(promise: nil)
    }

    private func send(on channel: any Channel) {
        var headers = request.headers
        headers.replaceOrAdd(name: "host", value: endpoint.description)
        headers.replaceOrAdd(name: "connection", value: "close")
        if request.method == .POST {
            headers.replaceOrAdd(name: "content-type", value: "application/json")
            headers.replaceOrAdd(name: "content-length", value: "\(request.body.count)")
        }
        let head = HTTPRequestHead(version: .http1_1, method: request.method, uri: request.path, headers: headers)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if !request.body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: request.body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    private func end(_ answer: Answer?) {
        let onEnd = onEnd
        self.onEnd = nil
        channel?.close(promise: nil)
        onEnd?(answer)
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        private let onEnd: (Answer?) -> Void
        private var answer = Answer(status: 0, body: [])

        init(onEnd: @escaping (Answer?) -> Void) { self.onEnd = onEnd }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): answer.status = Int(head.status.code)
            case .body(let buffer):
                guard answer.body.count + buffer.readableBytes <= HTTPCall.maximumBodyBytes else {
                    return context.close(promise: nil)
                }
                answer.body.append(contentsOf: buffer.readableBytesView)
            case .end: onEnd(answer)
            }
        }

        func channelInactive(context: ChannelHandlerContext) { onEnd(nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
