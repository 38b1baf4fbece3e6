import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

/// What a scripted engine does with one request.
enum ScriptedReply: Sendable {
    /// Sends pieces, each in a write of its own, and waits for the next request.
    case send([String])
    /// Sends pieces, then ends the connection.
    case sendAndClose([String])
    /// Sends pieces, then resets the connection.
    case sendAndReset([String])
    /// Answers with a stream of that many chunks of that many bytes, as fast as the peer takes them.
    case flood(chunks: Int, bytes: Int)

    static func send(_ text: String) -> Self { .send([text]) }
    static func sendAndClose(_ text: String) -> Self { .sendAndClose([text]) }

    /// An answer with a length.
    static func json(_ body: String, status: String = "200 OK") -> String {
        "HTTP/1.1 \(status)\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// The head of a chunked event stream.
    static let streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    /// One chunk.
    static func chunk(_ payload: String) -> String {
        String(payload.utf8.count, radix: 16) + "\r\n" + payload + "\r\n"
    }
}

/// A raw TCP server that plays an engine with any manners: it reads whole requests and answers from a script.
final class ScriptedServer: Sendable {
    struct Log: Sendable {
        var connections = 0
        /// Every request as its bytes came.
        var requests: [String] = []
        /// Bytes of floods that the proxy's socket took.
        var flooded = 0
    }

    /// - Parameters:
    ///   - connection: counted from 0.
    ///   - request: counted from 0 on this connection.
    typealias Script = @Sendable (_ connection: Int, _ request: Int, _ text: String) -> ScriptedReply

    let port: Int
    private let channel: any Channel
    private let state: NIOLockedValueBox<Log>

    var log: Log { state.withLockedValue { $0 } }
    var endpoint: Endpoint { Endpoint(host: "127.0.0.1", port: port) }
    /// It alone serves every request.
    var deployment: Deployment {
        var deployment = Deployment()
        deployment.handoff = .none
        deployment.prefill.replicas = 0
        deployment.decode.urls = [endpoint]
        return deployment
    }

    /// Starts a server.
    ///
    /// - Parameter closesAtOnce: the connections, counted from 0, that are closed as they are accepted.
    init(closesAtOnce: @escaping @Sendable (Int) -> Bool = { _ in false }, script: @escaping Script) async throws {
        let state = NIOLockedValueBox(Log())
        self.state = state
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let index = state.withLockedValue { log in
                        log.connections += 1
                        return log.connections - 1
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        Connection(index: index, closesAtOnce: closesAtOnce(index), state: state, script: script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func shutdown() async { try? await channel.close() }

    private final class Connection: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let index: Int
        private let closesAtOnce: Bool
        private let state: NIOLockedValueBox<Log>
        private let script: Script
        private var received: [UInt8] = []
        private var requests = 0
        private var flood: (chunks: Int, bytes: ByteBuffer)?

        init(index: Int, closesAtOnce: Bool, state: NIOLockedValueBox<Log>, script: @escaping Script) {
            self.index = index
            self.closesAtOnce = closesAtOnce
            self.state = state
            self.script = script
        }

        func channelActive(context: ChannelHandlerContext) {
            if closesAtOnce { context.close(promise: nil) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += unwrapInboundIn(data).readableBytesView
            while let text = nextRequest() {
                state.withLockedValue { $0.requests.append(text) }
                let number = requests
                requests += 1
                act(script(index, number, text), context)
            }
        }

        private func nextRequest() -> String? {
            guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: received[..<end.upperBound], as: UTF8.self)
            let length =
                head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
            guard received.count >= end.upperBound + length else { return nil }
            let text = String(decoding: received[..<(end.upperBound + length)], as: UTF8.self)
            received.removeFirst(end.upperBound + length)
            return text
        }

        private func act(_ reply: ScriptedReply, _ context: ChannelHandlerContext) {
            func write(_ pieces: [String]) {
                for piece in pieces { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: piece)), promise: nil) }
            }
            switch reply {
            case .send(let pieces): write(pieces)
            case .sendAndClose(let pieces):
                write(pieces)
                context.close(promise: nil)
            case .sendAndReset(let pieces):
                write(pieces)
                // An abortive close: the peer sees a reset.
                _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                context.close(promise: nil)
            case .flood(let chunks, let bytes):
                write([ScriptedReply.streamHead])
                // An event that a split stream can number.
                let (start, end) = (#"data: {"id":"a","choices":[{"index":0,"text":""#, "\"}]}\n\n")
                let text = String(repeating: "x", count: bytes - start.utf8.count - end.utf8.count)
                let payload = start + text + end
                flood = (chunks, ByteBuffer(string: ScriptedReply.chunk(payload)))
                pour(context)
            }
        }

        private func pour(_ context: ChannelHandlerContext) {
            guard var (chunks, bytes) = flood else { return }
            while chunks > 0, context.channel.isWritable {
                context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
                state.withLockedValue { $0.flooded += bytes.readableBytes }
                chunks -= 1
            }
            flood = (chunks, bytes)
            guard chunks == 0 else { return }
            flood = nil
            bytes = ByteBuffer(string: ScriptedReply.chunk("data: [DONE]\n\n") + "0\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            if context.channel.isWritable { pour(context) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// A proxy without hand-off in front of one scripted engine.
func withScriptedDecode(
    closesAtOnce: @escaping @Sendable (Int) -> Bool = { _ in false }, settings: (inout Deployment) -> Void = { _ in },
    script: @escaping ScriptedServer.Script, _ body: (ScriptedServer, ProxyHarness) async throws -> Void
) async throws {
    let server = try await ScriptedServer(closesAtOnce: closesAtOnce, script: script)
    do {
        try await withProxy(
            Topology(handoff: .none, prefill: 0),
            settings: {
                $0.decode.urls = [server.endpoint]
                $0.proxy.threads = 1
                // Scripts count connections and requests.
                $0.routing.decode.healthInterval = .zero
                settings(&$0)
            }, { try await body(server, $0) })
        await server.shutdown()
    } catch {
        await server.shutdown()
        throw error
    }
}
