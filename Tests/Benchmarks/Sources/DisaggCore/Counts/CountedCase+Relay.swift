internal import Logging
internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#endif

/// What a request costs on the proxy's own sockets: a client and two engines at the other ends, all in this thread.
extension CountedCase {
    static var relay: [CountedCase] {
        [
            CountedCase("relay.token") {
                let rig = try RelayRig()
                try rig.openStream()
                let token = try RelayRig.chunk(of: CountedInput.eventBytes())
                return { rig.relay(token) }
            },
            CountedCase("request.short-nixl") {
                let rig = try RelayRig()
                return { rig.shortRequest() }
            },
        ]
    }
}

/// A proxy of one loop that this thread drives, with its client and its engines.
private final class RelayRig {
    private let reactor: Reactor
    private let loop: LoopContext
    private let client: CInt
    private let prefillListener: CInt
    private let decodeListener: CInt
    private var prefill: CInt = -1
    private var decode: CInt = -1
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    private static let request = message(
        head: "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n",
        body: #"{"model":"m","prompt":"\#(String(repeating: "word ", count: 64))","max_tokens":1}"#)
    private static let prefillAnswer = message(
        head: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
        body:
            #"{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":64,"total_tokens":65,"completion_tokens":1},"kv_transfer_params":{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[1,2,3,4],"remote_engine_id":"e","remote_request_id":"r","remote_host":"127.0.0.1","remote_port":5600,"tp_size":1}}"#
    )
    private static let decodeAnswer = message(
        head: "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
        body:
            #"{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":64,"total_tokens":65,"completion_tokens":1}}"#
    )
    private static let streamHead = Array(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n".utf8)

    private static func message(head: String, body: String) -> [UInt8] {
        Array("\(head)content-length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    static func chunk(of event: [UInt8]) -> [UInt8] {
        Array((String(event.count, radix: 16) + "\r\n").utf8) + event + Array("\r\n".utf8)
    }

    init() throws {
        // Should an event that is waited for never come.
        alarm(120)
        reactor = try Reactor()
        (prefillListener, decodeListener) = (try Self.listen(), try Self.listen())
        var deployment = Deployment()
        deployment.handoff = .nixl
        deployment.prefill.port = SocketOptions.localPort(of: prefillListener) ?? 0
        deployment.decode.port = SocketOptions.localPort(of: decodeListener) ?? 0
        let logger = Logger(label: "counts") { _ in SwiftLogNoOpLogHandler() }
        loop = LoopContext(
            reactor: reactor, index: 0, shared: ProxyShared(deployment: deployment, logger: logger))
        var pair: [CInt] = [0, 0]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
            throw CountedInput.Failure(description: "no socket pair")
        }
        client = pair[0]
        _ = fcntl(pair[1], F_SETFL, O_NONBLOCK)
        _ = DownstreamConnection(
            reactor: reactor, descriptor: pair[1], handler: loop,
            limits: DownstreamLimits(bodyBytes: 1 << 20, headBytes: 1 << 16, readTimeout: .hours(1)))
        // The engines' connections are made by the first request, and kept.
        send(client, Self.request)
        // Read the request and connect to the decoder; then to the prefill engine; then send.
        for _ in 0..<3 { reactor.turn() }
        prefill = accept(prefillListener, nil, nil)
        decode = accept(decodeListener, nil, nil)
        answerRequest()
    }

    private static func listen() throws -> CInt {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let descriptor = try SocketOptions.makeStreamSocket(for: address)
        _ = fcntl(descriptor, F_SETFL, 0)
        _ = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        guard Glibc.listen(descriptor, 8) == 0 else { throw CountedInput.Failure(description: "no listener") }
        return descriptor
    }

    private func send(_ descriptor: CInt, _ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }
    }

    private func receive(_ descriptor: CInt) {
        _ = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// One request that both engines answer at once.
    func shortRequest() {
        send(client, Self.request)
        reactor.turn()
        answerRequest()
    }

    private func answerRequest() {
        receive(prefill)
        send(prefill, Self.prefillAnswer)
        reactor.turn()
        receive(decode)
        send(decode, Self.decodeAnswer)
        reactor.turn()
        receive(client)
    }

    /// Begins a stream.
    func openStream() throws {
        send(client, Self.request)
        reactor.turn()
        receive(prefill)
        send(prefill, Self.prefillAnswer)
        reactor.turn()
        receive(decode)
        send(decode, Self.streamHead + Self.chunk(of: try CountedInput.eventBytes()))
        reactor.turn()
        receive(client)
    }

    /// One token from the decode engine to the client.
    func relay(_ token: [UInt8]) {
        send(decode, token)
        reactor.turn()
        receive(client)
    }
}
