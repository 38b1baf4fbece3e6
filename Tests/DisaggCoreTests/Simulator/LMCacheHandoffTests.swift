import Testing

@testable import DisaggCore

/// The hazards are those of Docs/EngineFacts.md, seen on real engines.
@Suite("Simulated LMCache hand-off", .timeLimit(.minutes(3)))
struct LMCacheHandoffTests {
    private let prompt = Array(repeating: 72, count: 600)

    @Test("prefill, notification, untouched decode: the text of one engine, and nothing held")
    func firstTokenFromDecode() async throws {
        let pair = try await LMCachePair()
        let members = #""prompt":\#(prompt),"ignore_eos":true"#
        #expect(try await pair.prefill.post("/v1/completions", pair.prefillBody("r1", members)).status == 200)
        await pair.notices.wait("r1")
        #expect(try await pair.decodeEngine.ledger().held == 3)
        let decode = try await pair.decode.post("/v1/completions", "{\(members)}")
        let alone = try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { _, client in
            try await client.post("/v1/completions", "{\(members)}")
        }
        #expect(decode.json?["choices"]?.rawString == alone.json?["choices"]?.rawString)
        let ledger = try await pair.decodeEngine.ledger()
        #expect(ledger.isClean && ledger.released == 3 && ledger.transferred == 3 && ledger.hits == 1)
        let sender = try await pair.prefillEngine.ledger()
        #expect(sender.isClean && sender.transferred == 3)
        await pair.shutdown()
    }

    @Test("the first token comes back where the key ret_first_tok is present, even if false")
    func firstTokenFromPrefill() async throws {
        let pair = try await LMCachePair(firstToken: .prefill)
        let body = pair.prefillBody("r1", #""prompt":\#(prompt)"#, returnsFirstToken: true)
        let answer = try await pair.prefill.post("/v1/completions", body)
        let token = try #require(answer.json?["kv_transfer_params"]?["first_tok"]?.int)
        await pair.notices.wait("r1")
        _ = try await pair.decode.post("/v1/completions", #"{"prompt":\#(prompt + [token]),"max_tokens":3}"#)
        let ledger = try await pair.decodeEngine.ledger()
        #expect(ledger.isClean && ledger.hits == 1)
        await pair.shutdown()
    }

    @Test("prompt plus first token under skip_last_n_tokens 0 strands the last partial chunk")
    func wrongSkip() async throws {
        let pair = try await LMCachePair()
        _ = try await pair.prefill.post("/v1/completions", pair.prefillBody("r1", #""prompt":\#(prompt)"#))
        await pair.notices.wait("r1")
        _ = try await pair.decode.post("/v1/completions", #"{"prompt":\#(prompt + [1]),"max_tokens":3}"#)
        let ledger = try await pair.decodeEngine.ledger()
        #expect(ledger.held == 1 && ledger.leaked == 1)
        await pair.shutdown()
    }

    @Test("every rank notifies, and frees what it received")
    func ranks() async throws {
        let pair = try await LMCachePair(ranks: 2)
        _ = try await pair.prefill.post("/v1/completions", pair.prefillBody("r1", #""prompt":\#(prompt)"#))
        await pair.notices.wait("r1", count: 2)
        #expect(try await pair.decodeEngine.ledger().held == 6)
        _ = try await pair.decode.post("/v1/completions", #"{"prompt":\#(prompt),"max_tokens":1}"#)
        #expect(try await pair.decodeEngine.ledger().isClean)
        await pair.shutdown()
    }

    @Test("an undecoded prefill delays the next one's notification, not its answer")
    func fullBuffer() async throws {
        let pair = try await LMCachePair(bufferChunks: 4)
        let other = Array(repeating: 73, count: 600)
        _ = try await pair.prefill.post("/v1/completions", pair.prefillBody("r1", #""prompt":\#(prompt)"#))
        await pair.notices.wait("r1")
        let second = try await pair.prefill.post("/v1/completions", pair.prefillBody("r2", #""prompt":\#(other)"#))
        #expect(second.status == 200)
        #expect(pair.notices.count("r2") == 0)
        _ = try await pair.decode.post("/v1/completions", #"{"prompt":\#(prompt),"max_tokens":1}"#)
        await pair.notices.wait("r2")
        _ = try await pair.decode.post("/v1/completions", #"{"prompt":\#(other),"max_tokens":1}"#)
        #expect(try await pair.decodeEngine.ledger().isClean)
        await pair.shutdown()
    }

    @Test("a plain request kills a prefill engine: 500s, then no connection")
    func plainRequestKills() async throws {
        let pair = try await LMCachePair()
        let response = try await pair.prefill.post("/v1/completions", #"{"prompt":"x","max_tokens":1}"#)
        let fixture = try GoldenTrafficTests.load("30-error-engine-dead.http")
        #expect(response.status == 500)
        #expect(fixture.hasSuffix(response.body))
        #expect(try await pair.prefillEngine.ledger().dead)
        // The listener goes soon after; until then every answer is an error.
        while let next = try? await pair.prefill.get("/health"), next.isComplete { #expect(next.status == 503) }
        await #expect(throws: (any Error).self) { try await RawConnection(port: pair.prefill.port) }
        await pair.shutdown()
    }

    @Test("too short a port list kills the engine")
    func tooFewPorts() async throws {
        let pair = try await LMCachePair(ranks: 2)
        let ports = pair.decodeEngine.receiver?.allocPorts.prefix(1).map { $0 } ?? []
        let spec =
            #"{"req_id":"a","receiver_host":"127.0.0.1","receiver_init_port":\#(ports),"receiver_alloc_port":\#(ports)}"#
        let response = try await pair.prefill.post(
            "/v1/completions", #"{"prompt":"x","max_tokens":1,"kv_transfer_params":{"disagg_spec":\#(spec)}}"#)
        #expect(response.status == 500)
        await pair.shutdown()
    }

    @Test("a client that leaves a prefill with ret_first_tok kills the engine, without it the KV is still sent")
    func clientLeaves() async throws {
        for returnsFirstToken in [true, false] {
            let pair = try await LMCachePair()
            var faults = SimulatedFaults()
            faults.holdPrefills = true
            try await pair.prefillEngine.inject(faults)
            let connection = try await RawConnection(port: pair.prefill.port)
            let body = pair.prefillBody("r1", #""prompt":\#(prompt)"#, returnsFirstToken: returnsFirstToken)
            try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
            try await eventually { !(try await pair.prefillEngine.load() == 0) }
            await connection.close()
            try await eventually { !(try await pair.prefillEngine.receivedRequests().aborted == 0) }
            #expect(try await pair.prefillEngine.ledger().dead == returnsFirstToken)
            if !returnsFirstToken {
                try await pair.prefillEngine.inject(SimulatedFaults())
                await pair.notices.wait("r1")
                #expect(try await pair.decodeEngine.ledger().held == 3)
                #expect(try await pair.prefillEngine.load() == 0)
            }
            await pair.shutdown()
        }
    }

    @Test("a decoder that does not listen hangs the prefill engine until it does")
    func unreachableDecoder() async throws {
        let pair = try await LMCachePair()
        // A port that was free a moment ago.
        let closed = SimulatedEngine(configuration: .init(role: .both, handoff: .none))
        let port = try await closed.start()
        await closed.shutdown()
        let spec =
            #"{"req_id":"a","receiver_host":"127.0.0.1","receiver_init_port":[\#(port)],"receiver_alloc_port":[\#(port)]}"#
        let stuck = try await RawConnection(port: pair.prefill.port)
        try await stuck.send(
            RawHTTPClient.request(
                "POST", "/v1/completions",
                body: #"{"prompt":"x","max_tokens":1,"kv_transfer_params":{"disagg_spec":\#(spec)}}"#))
        try await eventually { !(try await pair.prefillEngine.ledger().held == 0) }
        let next = try await RawConnection(port: pair.prefill.port)
        try await next.send(
            RawHTTPClient.request("POST", "/v1/completions", body: pair.prefillBody("r2", #""prompt":"y""#)))
        try await eventually { !(try await pair.prefillEngine.ledger().held < 2) }
        #expect(try await pair.prefillEngine.load() == 2)
        #expect(pair.notices.count("r2") == 0)
        await stuck.close()
        await next.close()
        await pair.shutdown()
    }

    @Test("the same id twice while it lives is a violation and gives no second notification")
    func duplicateID() async throws {
        let pair = try await LMCachePair()
        for text in ["x", "y"] {
            _ = try await pair.prefill.post("/v1/completions", pair.prefillBody("same", #""prompt":"\#(text)""#))
        }
        try await eventually { !(try await pair.prefillEngine.ledger().protocolViolations == 0) }
        #expect(pair.notices.count("same") == 1)
        #expect(try await pair.decodeEngine.ledger().protocolViolations == 1)
        await pair.shutdown()
    }

    @Test("notifications can be dropped and doubled")
    func notificationFaults() async throws {
        let pair = try await LMCachePair()
        var faults = SimulatedFaults()
        faults.dropNotifications = 1
        faults.duplicateNotifications = 1
        try await pair.prefillEngine.inject(faults)
        for id in ["lost", "twice"] {
            _ = try await pair.prefill.post("/v1/completions", pair.prefillBody(id, #""prompt":"\#(id)""#))
        }
        await pair.notices.wait("twice", count: 2)
        #expect(pair.notices.count("lost") == 0)
        await pair.shutdown()
    }

    @Test("200 pairs at once through a small buffer are all consumed")
    func manyPairs() async throws {
        let pair = try await LMCachePair(bufferChunks: 8)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<200 {
                group.addTask {
                    let members = #""prompt":"prompt \#(index)""#
                    let id = "r\(index)"
                    let prefill = try await pair.prefill.post("/v1/completions", pair.prefillBody(id, members))
                    #expect(prefill.status == 200)
                    await pair.notices.wait(id)
                    let decode = try await pair.decode.post("/v1/completions", "{\(members),\"max_tokens\":4}")
                    #expect(decode.status == 200)
                }
            }
            try await group.waitForAll()
        }
        for engine in [pair.prefillEngine, pair.decodeEngine] { #expect(try await engine.ledger().isClean) }
        #expect(try await pair.decodeEngine.ledger().hits == 200)
        await pair.shutdown()
    }
}
