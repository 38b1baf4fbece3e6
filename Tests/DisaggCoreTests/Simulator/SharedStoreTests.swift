import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Simulated shared stores, LMCache modes and llm-d", .timeLimit(.minutes(2)))
struct SharedStoreTests {
    @Test(
        "lmcache-mp: each worker reports the engine's ids when their KV is stored, and the decoder then hits",
        arguments: [1, 2])
    func telemetry(ranks: Int) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: Notification.self)
        let listener = TelemetryListener(
            endpoint: Endpoint(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
        let port = try await listener.start()
        let store = SharedPrefixStore()
        try await withPair(
            .lmcacheMP,
            .init {
                $0.sharedStore = store
                $0.ranks = ranks
                $0.telemetry = Endpoint(host: "127.0.0.1", port: port)
                $0.storeDelay = .milliseconds(20)
            }
        ) { pair in
            let id = "0000" + String(repeating: "0a", count: 16)
            #expect(try await pair.prefill.complete(EnginePair.body(tokens: 1), id: id).status == 200)
            var received: Set<Notification> = []
            for await notification in stream {
                received.insert(notification)
                if received.count == ranks { break }
            }
            #expect(received == Set((1...ranks).map { Notification(requestID: id, connection: UInt64($0)) }))
            let decode = try await pair.decode.complete(EnginePair.body(), id: id)
            #expect(decode.text == (try await pair.text()))
            #expect(try await pair.decodeEngine.ledger().hits == 1)
            try await pair.expectClean()
        }
        await listener.shutdown()
    }

    @Test("lmcache-mp: a decode that comes before the store has ended computes the prompt itself, rightly")
    func tooEarly() async throws {
        let store = SharedPrefixStore()
        try await withPair(
            .lmcacheMP,
            .init {
                $0.sharedStore = store
                $0.storeDelay = .seconds(60)
            }
        ) { pair in
            _ = try await pair.prefill.complete(EnginePair.body(tokens: 1))
            let decode = try await pair.decode.complete(EnginePair.body())
            #expect(decode.text == (try await pair.text()))
            #expect(try await pair.decodeEngine.ledger().misses == 1)
        }
    }

    @Test("lmcache-mp: a lost report is lost, the KV is not")
    func lostReport() async throws {
        let store = SharedPrefixStore()
        try await withPair(
            .lmcacheMP,
            .init {
                $0.sharedStore = store
                $0.telemetry = Endpoint(host: "127.0.0.1", port: 1)
            }
        ) { pair in
            try await pair.prefillEngine.inject(.with { $0.dropNotifications = 1 })
            _ = try await pair.prefill.complete(EnginePair.body(tokens: 1))
            try await eventually { store.contains(TokenHistory(EnginePair.prompt).hash) }
            #expect(try await pair.prefillEngine.ledger().notificationsSent == 0)
        }
    }

    @Test("lmcache: tags are part of the key, so a decode without them finds nothing and leaves the pages behind")
    func tags() async throws {
        let pair = try await LMCachePair()
        let prompt = #""prompt":"tagged""#
        let tag = #""lmcache.tag.tenant":"a","lmcache.tag.user":7"#
        let body = #"{\#(prompt),"max_tokens":1,"kv_transfer_params":{\#(tag),"disagg_spec":\#(pair.spec("t1"))}}"#
        let prefill = try await pair.prefill.post("/v1/completions", body)
        #expect(prefill.status == 200)
        await pair.notices.wait("t1")
        _ = try await pair.decode.post("/v1/completions", #"{\#(prompt),"max_tokens":2}"#)
        let other = #"{"lmcache.tag.tenant":"b","lmcache.tag.user":7}"#
        _ = try await pair.decode.post(
            "/v1/completions", #"{\#(prompt),"max_tokens":2,"kv_transfer_params":\#(other)}"#)
        #expect(try await pair.decodeEngine.ledger().held == 1)
        // In another order they are the same tags.
        let same = #"{"lmcache.tag.user":7,"lmcache.tag.tenant":"a"}"#
        _ = try await pair.decode.post("/v1/completions", #"{\#(prompt),"max_tokens":2,"kv_transfer_params":\#(same)}"#)
        let ledger = try await pair.decodeEngine.ledger()
        #expect(ledger.held == 0 && ledger.hits == 1 && ledger.misses == 2)
        await pair.shutdown()
    }

    @Test("lmcache, synchronous: the answer comes after the KV, and a full buffer keeps it back")
    func synchronous() async throws {
        let pair = try await LMCachePair(bufferChunks: 1, isSynchronous: true)
        let first = #""prompt":"the first""#
        let second = #""prompt":"the second""#
        let answer = try await pair.prefill.post("/v1/completions", pair.prefillBody("s1", first))
        #expect(answer.status == 200 && pair.notices.count("s1") == 1)
        let waiting = try await RawConnection(port: pair.prefill.port)
        let body = pair.prefillBody("s2", second)
        try await waiting.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
        try await eventually { try await pair.prefillEngine.ledger().held == 1 }
        #expect(pair.notices.count("s2") == 0)
        #expect(try await pair.prefillEngine.load() == 1)
        _ = try await pair.decode.post("/v1/completions", #"{\#(first),"max_tokens":1}"#)
        let late = await waiting.read()
        #expect(late.status == 200 && pair.notices.count("s2") == 1)
        await waiting.close()
        await pair.shutdown()
    }

    @Test("lmcache, synchronous and bidirectional: a query port list that is too short kills the prefill engine")
    func queryPorts() async throws {
        let pair = try await LMCachePair(isSynchronous: true, isBidirectional: true)
        let ports = try #require(pair.decodeEngine.receiver?.queryPorts)
        for (list, status) in [("\(ports)", 200), ("[]", 500)] {
            let body = pair.prefillBody("q\(status)", #""prompt":"q""#)
                .replacing("\"receiver_query_port\":\(ports)", with: "\"receiver_query_port\":\(list)")
            let answer = try await pair.prefill.post("/v1/completions", body)
            #expect(answer.status == status, "\(body)")
        }
        #expect(try await pair.prefillEngine.ledger().dead)
        await pair.shutdown()
    }

    @Test("llm-d: the side-car asks the prefill engine that the header names, and alone without one")
    func sideCar() async throws {
        try await withPair(.llmd) { pair in
            let header = "x-prefiller-host-port: 127.0.0.1:\(pair.prefill.port)"
            let decode = try await pair.decode.complete(EnginePair.body(), id: "r1", headers: [header])
            #expect(decode.text == (try await pair.text()))
            #expect(try await pair.prefillEngine.receivedRequests().total == 1)
            #expect(try await pair.decodeEngine.ledger().hits == 1)
            let alone = try await pair.decode.complete(EnginePair.body())
            #expect(alone.text == (try await pair.text()))
            #expect(try await pair.prefillEngine.receivedRequests().total == 1)
            try await pair.expectClean()
        }
    }

    @Test("llm-d: a broken prefill engine is passed over, its refusal is the answer", arguments: [503, 400])
    func sideCarFaults(status: Int) async throws {
        try await withPair(.llmd) { pair in
            try await pair.prefillEngine.inject(
                .with {
                    $0.refuse = 1
                    $0.refuseStatus = status
                })
            let header = "x-prefiller-host-port: 127.0.0.1:\(pair.prefill.port)"
            let decode = try await pair.decode.complete(EnginePair.body(), headers: [header])
            #expect(decode.status == (status == 503 ? 200 : 400))
            try await pair.expectClean()
        }
    }
}
