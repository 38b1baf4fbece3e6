import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Slow readers", .serialized, .timeLimit(.minutes(2)))
struct SlowReaderTests {
    private static let chunks = 2_500
    private static let chunkBytes = 16 << 10
    /// Of each of three parts, whose events are looked into.
    private static let partChunks = 1_200

    @Test(
        "a client that does not read holds its engine's stream back, while others are served",
        arguments: ["1.1", "1.0"])
    func holdsItsEngine(version: String) async throws {
        try await withScriptedDecode(
            script: { _, _, text in
                text.contains("\"stream\":true")
                    ? .flood(chunks: Self.chunks, bytes: Self.chunkBytes)
                    : .send(ScriptedReply.json("{\"choices\":[]}"))
            },
            { server, harness in
                let slow = try await WireClient(port: harness.proxy.port, reads: false)
                try await slow.send(WireRequest.post(WireRequest.streamed, version: version))
                try await eventually { server.log.flooded > 0 }
                let other = try await WireClient(port: harness.proxy.port)
                // The flood has stopped where it does not move while the same loop serves many others.
                var seen = 0
                var still = 0
                while still < 20 {
                    try await other.send(WireRequest.post(WireRequest.completion))
                    #expect(await other.next()?.status == 200)
                    let now = server.log.flooded
                    still = now == seen ? still + 1 : 0
                    seen = now
                }
                #expect(seen < Self.chunks * Self.chunkBytes / 4 * 3, "\(seen) bytes were taken from the engine")
                try await slow.startReading()
                let response = try #require(await slow.next())
                #expect(response.isComplete && response.body.utf8.count == Self.chunks * Self.chunkBytes + 14)
                await slow.close()
                await other.close()
            })
    }

    @Test("a client that does not read a split stream holds the engines of all its parts back")
    func holdsAllParts() async throws {
        let server = try await ScriptedServer { _, _, text in
            text.contains("\"stream\":true")
                ? .flood(chunks: Self.partChunks, bytes: Self.chunkBytes)
                : .send(ScriptedReply.json("{\"choices\":[]}"))
        }
        try await withProxy(
            Topology(handoff: .nixl),
            settings: {
                $0.decode.urls = [server.endpoint]
                $0.proxy.threads = 1
                $0.routing.decode.healthInterval = .zero
            },
            { harness in
                let slow = try await WireClient(port: harness.proxy.port, reads: false)
                try await slow.send(WireRequest.post(#"{"prompt":["a","b","c"],"stream":true}"#))
                try await eventually { server.log.flooded > 0 }
                let other = try await WireClient(port: harness.proxy.port)
                var (seen, still) = (0, 0)
                while still < 20 {
                    try await other.send(WireRequest.post(#"{"prompt":"d"}"#))
                    #expect(await other.next()?.status == 200)
                    let now = server.log.flooded
                    still = now == seen ? still + 1 : 0
                    seen = now
                }
                let whole = 3 * Self.partChunks * Self.chunkBytes
                #expect(seen < whole / 4 * 3, "\(seen) of \(whole) bytes were taken from the engine")
                try await slow.startReading()
                let response = try #require(await slow.next())
                #expect(response.isComplete && response.body.hasSuffix("data: [DONE]\n\n"))
                #expect(response.body.utf8.count > whole)
                #expect(response.body.split(separator: "\n\n").count == 3 * Self.partChunks + 1)
                await slow.close()
                await other.close()
            })
        await server.shutdown()
    }

    @Test("a client that leaves while it does not read frees its engine")
    func leavesUnread() async throws {
        try await withScriptedDecode(
            script: { _, _, _ in .flood(chunks: Self.chunks, bytes: Self.chunkBytes) },
            { server, harness in
                let slow = try await WireClient(port: harness.proxy.port, reads: false)
                try await slow.send(WireRequest.post(WireRequest.streamed))
                try await eventually { server.log.flooded > 1 << 20 }
                try await slow.reset()
                try await eventually { try await harness.metric("disagg_requests_in_flight") == "0" }
            })
    }

    @Test(
        "a large answer reaches a slow client whole, however its connection ends",
        arguments: ["Connection: close", "Connection: keep-alive"], [true, false])
    func largeAnswer(connection: String, halfCloses: Bool) async throws {
        let large = "{\"a\":\"" + String(repeating: "x", count: 12 << 20) + "\"}"
        try await withScriptedDecode(
            script: { _, _, _ in .send(ScriptedReply.json(large)) },
            { server, harness in
                let client = try await WireClient(port: harness.proxy.port, reads: false)
                try await client.send(WireRequest.post(WireRequest.completion, headers: [connection]))
                if halfCloses { try await client.finishSending() }
                // The engine's whole answer was taken: what is missing waits in the proxy.
                try await eventually { server.log.requests.count == 1 }
                try await client.startReading()
                let response = try #require(await client.next())
                #expect(response.isComplete && response.body.utf8.count == large.utf8.count)
                await client.close()
            })
    }
}

/// The listener with a handler of the test's own: what a connection does at its end, seen without engines.
@Suite("Connection end", .serialized, .timeLimit(.minutes(2)))
struct ConnectionEndTests {
    /// Answers every request at once with a large body.
    private final class LargeAnswers: ClientRequestHandler {
        static let bytes = 12 << 20
        let served: NIOLockedValueBox<Int>
        var connections: [ObjectIdentifier: DownstreamConnection] = [:]

        init(served: NIOLockedValueBox<Int>) { self.served = served }

        func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error) }
        func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
            let size = request.path == "/large" ? Self.bytes : 64 << 10
            sink.respond(
                status: 200, lines: "", body: ByteBuffer(repeating: UInt8(ascii: "x"), count: size))
            served.withLockedValue { $0 += 1 }
            return nil
        }
        func opened(_ connection: DownstreamConnection) { connections[ObjectIdentifier(connection)] = connection }
        func closed(_ connection: DownstreamConnection) { connections[ObjectIdentifier(connection)] = nil }
    }

    private func withListener(
        _ body: (
            _ port: Int, _ served: NIOLockedValueBox<Int>,
            _ onLoop: (@escaping @Sendable (DownstreamConnection) -> Void) async throws -> Void
        )
            async throws -> Void
    ) async throws {
        let reactor = try Reactor(name: "test")
        let served = NIOLockedValueBox(0)
        let handler = try await reactor.submit { NIOLoopBound(LargeAnswers(served: served), eventLoop: reactor) }
            .get()
        let bound = try await reactor.submit {
            NIOLoopBound(handler.value as any ClientRequestHandler, eventLoop: reactor)
        }.get()
        let limits = DownstreamLimits(bodyBytes: 1_000, headBytes: 1_000, readTimeout: .seconds(30))
        let listener = try await DownstreamListener.bind(
            to: Endpoint(host: "127.0.0.1", port: 0), limits: limits, handlers: [bound], reactors: [reactor])
        try await body(listener.port, served) { action in
            try await reactor.submit {
                for connection in Array(handler.value.connections.values) { action(connection) }
            }.get()
        }
        await listener.close()
        await reactor.stop()
    }

    @Test(
        "an answer that waits for its client survives half-closes, deadlines and shutdown",
        arguments: ["Connection: close", "X: y"], ["half-close", "deadline", "shutdown"])
    func unsentAnswer(header: String, event: String) async throws {
        try await withListener { port, served, onLoop in
            let client = try await WireClient(port: port, reads: false)
            try await client.send(WireRequest.get("/large", headers: [header]))
            try await eventually { served.withLockedValue { $0 } == 1 }
            switch event {
            case "half-close":
                try await client.finishSending()
                // Deadlines are looked at on the same loop, behind the end of input or before it.
                try await onLoop { $0.checkDeadline(now: .now()) }
            case "deadline": try await onLoop { $0.checkDeadline(now: .now() + .seconds(20)) }
            default: try await onLoop { $0.finishUp() }
            }
            try await client.startReading()
            let response = try #require(await client.next())
            #expect(response.isComplete && response.body.utf8.count == LargeAnswers.bytes)
            await client.close()
        }
    }

    @Test("requests of a client that reads no answers are left in its socket, and all are answered once it reads")
    func floodOfRequests() async throws {
        try await withListener { port, served, onLoop in
            let total = 600
            let client = try await WireClient(port: port, reads: false)
            client.sendLater(String(repeating: WireRequest.get("/"), count: total))
            // 38 MB of answers would be waiting if they were all served. Each look is behind the loop's other work.
            var seen = 0
            var still = 0
            while still < 50 {
                try await onLoop { _ in }
                let now = served.withLockedValue { $0 }
                still = now == seen && now > 0 ? still + 1 : 0
                seen = now
            }
            #expect(seen < total / 2)
            try await client.startReading()
            for _ in 0..<total { #expect(await client.next()?.body.utf8.count == 64 << 10) }
            await client.close()
        }
    }

    @Test("a client that never closes after its last answer is closed")
    func neverCloses() async throws {
        try await withListener { port, _, onLoop in
            let client = try await WireClient(port: port)
            try await client.send(WireRequest.get("/", headers: ["Connection: close"]))
            #expect(await client.next()?.isComplete == true)
            #expect(await client.rest().isEmpty)
            let open = NIOLockedValueBox(1)
            try await onLoop { $0.checkDeadline(now: .now() + .seconds(2)) }
            try await eventually {
                open.withLockedValue { $0 = 0 }
                try await onLoop { _ in open.withLockedValue { $0 += 1 } }
                return open.withLockedValue { $0 } == 0
            }
            await client.close()
        }
    }
}

@Suite("A client that reads a kilobyte at a time", .serialized, .timeLimit(.minutes(2)))
struct TricklingClientTests {
    private static let answerBytes = 1 << 30

    /// Answers with a gigabyte, as fast as it may.
    private final class Flood: ClientRequestHandler, RequestInFlight {
        private let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
        private var sink: ResponseSink?
        private var mayWrite = true
        private(set) var connection: DownstreamConnection?

        func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error) }
        func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
            self.sink = sink
            sink.begin(status: 200, lines: ByteBuffer(), framing: .length(TricklingClientTests.answerBytes))
            sink.flush()
            return self
        }
        func clientIsWritable(_ isWritable: Bool) { mayWrite = isWritable }
        func clientGone() { sink = nil }
        func opened(_ connection: DownstreamConnection) { self.connection = connection }
        func closed(_ connection: DownstreamConnection) { self.connection = nil }

        var sinkBytes: Int { sink?.bodyBytes ?? 0 }

        /// Passes on as an engine's socket does: while the client may be written to, and at most so many pieces.
        func pour(pieces: Int) {
            var left = pieces
            while mayWrite, left > 0, let sink {
                piece.withUnsafeBytes { sink.relay($0) }
                left -= 1
            }
        }
    }

    @Test("is kept no more than the high-water mark and one read")
    func bounded() async throws {
        let reactor = try Reactor(name: "test")
        let flood = try await reactor.submit { NIOLoopBound(Flood(), eventLoop: reactor) }.get()
        let handler = try await reactor.submit {
            NIOLoopBound(flood.value as any ClientRequestHandler, eventLoop: reactor)
        }.get()
        let listener = try await DownstreamListener.bind(
            to: Endpoint(host: "127.0.0.1", port: 0),
            limits: DownstreamLimits(bodyBytes: 1_000, headBytes: 1_000, readTimeout: .seconds(30)),
            handlers: [handler], reactors: [reactor])
        let client = try await WireClient(port: listener.port, readBytes: 1024)
        try await client.send(WireRequest.get("/"))
        var held = 0
        var written = 0
        for _ in 0..<200 {
            #expect(await client.readPiece() <= 1024)
            (held, written) = try await reactor.submit {
                flood.value.pour(pieces: 1_000)
                return (flood.value.connection?.unsentBytes ?? 0, flood.value.sinkBytes)
            }.get()
            guard held <= 128 << 10 else { break }
        }
        // Once the sockets between the two are full, the rest waits here: never more than this.
        #expect(held > 0 && held <= 128 << 10, "\(held) bytes are kept")
        #expect(written < 64 << 20, "\(written) bytes were taken from the engine")
        await client.close()
        await listener.close()
        await reactor.stop()
    }
}
