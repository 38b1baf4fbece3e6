import NIOCore
import NIOPosix

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

/// One answer as a client reads it.
struct WireResponse: Sendable {
    var statusLine = ""
    var headers: [(name: String, value: String)] = []
    /// The body without chunk framing.
    var body = ""
    var isChunked = false
    /// Interim answers (1xx) that came ahead of it.
    var interim: [String] = []
    /// Whether its end was seen: by length, last chunk or, where neither was announced, the connection's end.
    var isComplete = false

    var status: Int { Int(statusLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var json: JSONView? { try? JSONView(parsing: body) }

    func values(_ name: String) -> [String] { headers.filter { $0.name.lowercased() == name }.map(\.value) }
    func header(_ name: String) -> String? { values(name).first }
    /// `error.message` where the body is an error in the OpenAI shape that agrees with the status line.
    var openAIError: String? {
        guard let error = json?["error"], error["code"]?.int == status, error["type"]?.string?.isEmpty == false,
            error["param"] != nil
        else { return nil }
        return error["message"]?.string
    }
    /// The `data` of each event.
    var events: [String] {
        body.split(separator: "\n\n").map { String($0.hasPrefix("data: ") ? $0.dropFirst(6) : $0) }
    }
}

/// A client's connection that sends any bytes, reads answer after answer, half-closes, and can stop reading.
actor WireClient {
    private let channel: any Channel
    private let stream: AsyncStream<[UInt8]>
    private var pending: [UInt8] = []
    private(set) var hasEnded = false

    /// - Parameter readBytes: reads so many bytes at a time, each when ``readPiece()`` asks for it.
    init(port: Int, reads: Bool = true, readBytes: Int? = nil) async throws {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        self.stream = stream
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(60))
            .channelOption(.autoRead, value: reads && readBytes == nil)
            .channelOption(.maxMessagesPerRead, value: UInt(readBytes == nil ? 4 : 1))
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: readBytes ?? 16_384))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation: continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }
    /// Sends without waiting for the socket to take it.
    nonisolated func sendLater(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    func finishSending() async throws { try await channel.close(mode: .output) }
    func close() async { try? await channel.close() }
    func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Closes with a reset.
    func reset() async throws {
        try await (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        await close()
    }

    /// The next final answer; incomplete where the connection ended in it, nil where it ended before.
    ///
    /// - Parameter method: of the request; a `HEAD` is answered without a body.
    func next(method: String = "GET") async -> WireResponse? {
        var interim: [String] = []
        while let head = await readHead() {
            var response = WireResponse()
            let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
            response.statusLine = lines.first ?? ""
            response.headers = lines.dropFirst().filter { !$0.isEmpty }.map { line in
                let colon = line.firstIndex(of: ":") ?? line.endIndex
                return (String(line[..<colon]), String(line[colon...].dropFirst().drop { $0 == " " }))
            }
            if (100..<200).contains(response.status) {
                interim.append(response.statusLine)
                continue
            }
            response.interim = interim
            await readBody(of: &response, hasBody: method != "HEAD" && response.status != 204)
            return response
        }
        return nil
    }

    /// Reads once; the number of bytes that came.
    func readPiece() async -> Int {
        let before = pending.count
        channel.read()
        return await more() ? pending.count - before : 0
    }

    /// Everything until the connection ends.
    func rest() async -> [UInt8] {
        while await more() {}
        defer { pending = [] }
        return pending
    }

    /// Waits until that many bytes are there; false where the connection ended before.
    func has(_ count: Int) async -> Bool {
        while pending.count < count { guard await more() else { return false } }
        return true
    }

    /// Waits until a text has come, and takes it with all before it.
    func skip(past text: String) async -> Bool {
        while true {
            if let range = pending.firstRange(of: Array(text.utf8)) {
                pending.removeFirst(range.upperBound)
                return true
            }
            guard await more() else { return false }
        }
    }

    private func more() async -> Bool {
        guard !hasEnded else { return false }
        for await piece in stream {
            pending += piece
            return true
        }
        hasEnded = true
        return false
    }

    private func readHead() async -> String? {
        var searched = 0
        while true {
            if let end = pending[max(0, searched - 3)...].firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
                pending.removeFirst(end.upperBound)
                return head
            }
            searched = pending.count
            guard await more() else { return nil }
        }
    }

    private func readBody(of response: inout WireResponse, hasBody: Bool) async {
        guard hasBody else {
            response.isComplete = true
            return
        }
        if response.values("transfer-encoding") == ["chunked"] {
            response.isChunked = true
            var payload: [UInt8] = []
            var index = 0
            while true {
                guard let line = await line(from: index), let size = Int(line, radix: 16) else { break }
                let start = index + line.utf8.count + 2
                guard await has(start + size + 2), Array(pending[start + size..<start + size + 2]) == [13, 10] else {
                    break
                }
                payload += pending[start..<start + size]
                index = start + size + 2
                if size == 0 {
                    response.isComplete = true
                    break
                }
            }
            pending.removeFirst(min(index, pending.count))
            response.body = String(decoding: payload, as: UTF8.self)
        } else if let length = response.header("content-length").flatMap({ Int($0) }) {
            response.isComplete = await has(length)
            response.body = String(decoding: pending.prefix(length), as: UTF8.self)
            pending.removeFirst(min(length, pending.count))
        } else {
            response.body = String(decoding: await rest(), as: UTF8.self)
            response.isComplete = true
        }
    }

    private func line(from index: Int) async -> String? {
        while true {
            if index < pending.count, let end = pending[index...].firstRange(of: [13, 10]) {
                return String(decoding: pending[index..<end.lowerBound], as: UTF8.self)
            }
            guard await more() else { return nil }
        }
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<[UInt8]>.Continuation

        init(continuation: AsyncStream<[UInt8]>.Continuation) { self.continuation = continuation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            continuation.yield(Array(unwrapInboundIn(data).readableBytesView))
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.inputClosed) = event as? ChannelEvent { continuation.finish() }
        }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// Requests as bytes.
enum WireRequest {
    static let completion = #"{"model":"m","prompt":"hello there","max_tokens":4}"#
    static let streamed = #"{"model":"m","prompt":"hello there","max_tokens":4,"stream":true}"#

    static func post(
        _ body: String, path: String = "/v1/completions", version: String = "1.1", headers: [String] = []
    ) -> String {
        let lines =
            [
                "POST \(path) HTTP/\(version)", "Host: x", "Content-Type: application/json",
                "Content-Length: \(body.utf8.count)",
            ]
            + headers
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + body
    }

    static func get(_ path: String, version: String = "1.1", headers: [String] = []) -> String {
        (["GET \(path) HTTP/\(version)", "Host: x"] + headers).joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// A completion whose model the simulated engines serve.
    static func completion(stream: Bool, tokens: Int = 4) -> String {
        #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":"hello there","max_tokens":\#(tokens),"#
            + #""ignore_eos":true,"stream":\#(stream)}"#
    }
}

extension WireClient {
    /// Sends one request on a connection of its own.
    static func exchange(_ port: Int, _ request: String, method: String = "GET") async throws -> WireResponse {
        let client = try await WireClient(port: port)
        try await client.send(request)
        let response = await client.next(method: method) ?? WireResponse()
        await client.close()
        return response
    }
}
