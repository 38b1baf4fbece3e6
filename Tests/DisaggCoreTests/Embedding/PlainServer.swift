import DisaggCore
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

/// A server as somebody else might have written it: NIO's own HTTP/1 pipeline, and a router from DisaggCore's public API.
final class PlainServer: Sendable {
    private let channel: any Channel
    let port: Int

    init(router: DisaggRouter) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(router: router))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func close() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let router: DisaggRouter
        private var head: HTTPRequestHead?
        private var body = ByteBuffer()
        private var serving: Task<Void, Never>?

        init(router: DisaggRouter) { self.router = router }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body = ByteBuffer()
            case .body(var part): body.writeBuffer(&part)
            case .end:
                guard let head else { return }
                var request = HTTPRequest(
                    method: .init(head.method.rawValue) ?? .get, scheme: "http", authority: nil, path: head.uri)
                for (name, value) in head.headers {
                    if let name = HTTPField.Name(name) {
                        request.headerFields.append(HTTPField(name: name, value: value))
                    }
                }
                let channel = context.channel
                let (router, body, fixed) = (router, body, request)
                serving = Task {
                    do {
                        let response = try await router.respond(to: fixed, body: body)
                        var headers = HTTPHeaders()
                        for field in response.head.headerFields {
                            headers.add(name: field.name.rawName, value: field.value)
                        }
                        let status = HTTPResponseStatus(statusCode: response.head.status.code)
                        try await channel.writeAndFlush(
                            HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers)))
                        for try await part in response.body {
                            try await channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(part)))
                        }
                        try await channel.writeAndFlush(HTTPServerResponsePart.end(nil))
                    } catch {
                        try? await channel.close()
                    }
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) { serving?.cancel() }
    }
}
