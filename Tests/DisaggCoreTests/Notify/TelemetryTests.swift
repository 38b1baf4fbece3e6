import Logging
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("LMCache telemetry", .timeLimit(.minutes(1)))
struct TelemetryTests {
    private static let first = "0000" + String(repeating: "a1", count: 16)
    private static let second = "0001" + String(repeating: "b2", count: 16)

    private func withListener(
        _ body: (RawHTTPClient, TelemetryListener, AsyncStream<Notification>) async throws -> Void
    ) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: Notification.self)
        let listener = TelemetryListener(
            endpoint: Endpoint(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
        try await body(RawHTTPClient(port: try await listener.start()), listener, stream)
        await listener.shutdown()
    }

    private static func message(_ ids: [String], rank: Int, event: String = "request_store_finished") -> String {
        let list = ids.map { "\"\($0)\"" }.joined(separator: ",")
        return #"{"event":"\#(event)","request_ids_set":[\#(list)],"model_name":"m","world_size":2,"kv_rank":\#(rank)}"#
    }

    @Test("each id of ours becomes a notification of the worker's rank")
    func notifies() async throws {
        try await withListener { client, listener, stream in
            let ids = ["cmpl-\(Self.first)-0-0123abcd", "chatcmpl-\(Self.second)-0123abcd", "cmpl-other-0-0123abcd"]
            let answer = try await client.post(TelemetryListener.path, Self.message(ids, rank: 1))
            #expect(answer.status == 200)
            var received = stream.makeAsyncIterator()
            #expect(await received.next() == Notification(requestID: Self.first, connection: 2))
            #expect(await received.next() == Notification(requestID: Self.second, connection: 2))
            #expect(listener.counters.notifications == 2 && listener.counters.otherMessages == 1)
        }
    }

    @Test("other events, paths, methods and junk notify nobody")
    func refuses() async throws {
        try await withListener { client, listener, _ in
            let good = Self.message(["cmpl-\(Self.first)-0-0123abcd"], rank: 0)
            let other = Self.message(["cmpl-\(Self.first)-0-0123abcd"], rank: 0, event: "request_started")
            var statuses = [
                try await client.post(TelemetryListener.path, other).status,
                try await client.post("/elsewhere", good).status, try await client.get(TelemetryListener.path).status,
            ]
            for body in ["", "[]", "{", #"{"event":7}"#] {
                statuses.append(try await client.post(TelemetryListener.path, body).status)
            }
            #expect(statuses == [200, 404, 405, 400, 400, 400, 400])
            #expect(listener.counters.notifications == 0)
            #expect(listener.counters.otherMessages == 1 && listener.counters.malformedMessages == 4)
        }
    }

    @Test("a body over the limit is refused before it is kept")
    func tooLarge() async throws {
        try await withListener { client, listener, _ in
            let body = String(repeating: " ", count: TelemetryListener.maximumBodyBytes + 1)
            let answer = try await client.post(TelemetryListener.path, body)
            #expect(answer.status == 413)
            #expect(listener.counters.malformedMessages == 1)
        }
    }

    @Test(
        "an id of ours is found in an engine's",
        arguments: [
            ("cmpl-%-0-0123abcd", true), ("chatcmpl-%-0123abcd", true), ("resp_%", true), ("%", true),
            ("0_cmpl-%-0", true), ("cmpl-a%-0", false), ("cmpl-%0", false), ("", false),
        ])
    func finds(pattern: String, isThere: Bool) {
        let id = pattern.replacing("%", with: Self.first)
        #expect(RequestID.find(in: id) == (isThere ? Self.first : nil))
    }
}
