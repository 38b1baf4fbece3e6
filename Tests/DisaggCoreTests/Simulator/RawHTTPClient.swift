import NIOCore
import NIOPosix

@testable import DisaggCore

/// An HTTP answer as its bytes came.
struct RawResponse: Sendable {
    var statusLine: String
    /// Names and values in order.
    var headers: [(name: String, value: String)]
    /// The chunks of a chunked body, else the whole body as one.
    var chunks: [String]
    /// The body is complete; false where the connection ended before.
    var isComplete: Bool

    var status: Int { Int(statusLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var body: String { chunks.joined() }
    var json: JSONView? { try? JSONView(parsing: body) }
    /// The JSON of each server-sent event but `[DONE]`.
    var events: [JSONView] {
        body.split(separator: "\n\n").compactMap { try? JSONView(parsing: String($0.dropFirst(6))) }
    }

    init(_ bytes: [UInt8]) {
        let parsed = RawResponseParser.parse(bytes)
        statusLine = parsed.head.first ?? ""
        headers = parsed.head.dropFirst().map { line in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            return (line[..<colon].lowercased(), String(line[colon...].dropFirst(2)))
        }
        chunks = parsed.chunks
        isComplete = parsed.isComplete
    }
}

/// Finds the parts of an answer in its bytes.
enum RawResponseParser {
    static func parse(_ bytes: [UInt8]) -> (head: [String], chunks: [String], isComplete: Bool) {
        guard let headEnd = find(Array("\r\n\r\n".utf8), in: bytes, from: 0) else { return ([], [], false) }
        let head = text(bytes[..<headEnd]).split(separator: "\r\n").map(String.init)
        let bodyStart = headEnd + 4
        let lengthLine = head.first { $0.lowercased().hasPrefix("content-length:") }
        if let lengthLine, let length = Int(lengthLine.dropFirst(16)) {
            return (head, [text(bytes[bodyStart...])], bytes.count - bodyStart >= length)
        }
        var chunks: [String] = []
        var index = bodyStart
        while let lineEnd = find([13, 10], in: bytes, from: index),
            let size = Int(text(bytes[index..<lineEnd]), radix: 16)
        {
            let start = lineEnd + 2
            if size == 0 { return (head, chunks, true) }
            guard start + size + 2 <= bytes.count else { break }
            chunks.append(text(bytes[start..<start + size]))
            index = start + size + 2
        }
        return (head, chunks, false)
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        var index = start
        while index + needle.count <= bytes.count {
            if bytes[index] == needle[0], Array(bytes[index..<index + needle.count]) == needle { return index }
            index += 1
        }
        return nil
    }
}

/// One connection that sends bytes and collects what comes back.
final class RawConnection: Sendable {
    private let channel: any Channel
    private let stream: AsyncStream<[UInt8]>

    init(port: Int) async throws {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        self.stream = stream
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            // Debug builds on busy machines leave an engine's loop little time.
            .connectTimeout(.seconds(60))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation: continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Reads until the answer is complete, the connection ends, or `until` says it is enough.
    func read(until: @Sendable ([UInt8]) -> Bool = { _ in false }) async -> RawResponse {
        var bytes: [UInt8] = []
        for await piece in stream {
            bytes.append(contentsOf: piece)
            // A whole parse for each piece would make long streams quadratic; a chunked body ends with these bytes.
            let isChunked = String(decoding: bytes.prefix(2_048), as: UTF8.self).lowercased().contains("chunked")
            let mayBeComplete = !isChunked || bytes.suffix(5).elementsEqual("0\r\n\r\n".utf8)
            if until(bytes) || (mayBeComplete && RawResponseParser.parse(bytes).isComplete) { break }
        }
        return RawResponse(bytes)
    }

    func close() async { try? await channel.close() }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<[UInt8]>.Continuation

        init(continuation: AsyncStream<[UInt8]>.Continuation) { self.continuation = continuation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            continuation.yield(Array(unwrapInboundIn(data).readableBytesView))
        }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// Requests to one engine, each on its own connection unless one is given.
struct RawHTTPClient: Sendable {
    var port: Int

    static func request(_ method: String, _ path: String, body: String?, headers: [String] = []) -> String {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: localhost"] + headers
        if let body { lines += ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"] }
        return lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
    }

    func send(_ method: String, _ path: String, body: String? = nil, headers: [String] = []) async throws -> RawResponse
    {
        let connection = try await RawConnection(port: port)
        try await connection.send(Self.request(method, path, body: body, headers: headers))
        let response = await connection.read()
        await connection.close()
        return response
    }

    func get(_ path: String) async throws -> RawResponse { try await send("GET", path) }
    func post(_ path: String, _ body: String) async throws -> RawResponse { try await send("POST", path, body: body) }
}

/// Runs an engine for the time of a test.
func withEngine<Result>(
    _ configuration: SimulatedEngineConfiguration, _ body: (SimulatedEngine, RawHTTPClient) async throws -> Result
) async throws -> Result {
    let engine = SimulatedEngine(configuration: configuration)
    let port = try await engine.start()
    do {
        let result = try await body(engine, RawHTTPClient(port: port))
        await engine.shutdown()
        return result
    } catch {
        await engine.shutdown()
        throw error
    }
}

/// Waits for something only an engine's counters can tell, asking every 2 ms so that the engine gets the core.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(2)) }
}
