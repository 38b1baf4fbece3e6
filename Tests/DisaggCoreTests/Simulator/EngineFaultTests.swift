import Testing

@testable import DisaggCore

@Suite("Simulated engine faults", .timeLimit(.minutes(3)))
struct EngineFaultTests {
    private let configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)

    @Test("GET /sim/kv is the ledger as JSON, each number in it")
    func ledgerAnswer() async throws {
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { engine, client in
            let answer = try #require(try await client.get("/sim/kv").json)
            let names = [
                "held", "transferred", "released", "leaked", "doubleFreed", "protocolViolations", "expired",
                "unknownPulls", "hits", "misses", "stuck", "notificationsSent",
            ]
            for name in names { #expect(answer[name]?.int == 0, "\(name)") }
            #expect(answer["dead"]?.bool == false)
            #expect(try await engine.ledger().isClean)
        }
    }

    @Test("refuses the next requests with the status asked for, over HTTP too")
    func refuse() async throws {
        try await withEngine(configuration) { engine, client in
            _ = try await client.post("/sim/faults", #"{"refuse":2,"refuseStatus":429}"#)
            for status in [429, 429, 200] {
                #expect(try await client.post("/v1/completions", #"{"prompt":"x","max_tokens":1}"#).status == status)
            }
            #expect(try await client.get("/sim/requests").json?["total"]?.int == 3)
            #expect(try await engine.receivedRequests().bodies.last == #"{"prompt":"x","max_tokens":1}"#)
        }
    }

    @Test("dies in the middle of a stream: the tokens before, then a broken connection")
    func dieMidStream() async throws {
        try await withEngine(configuration) { engine, client in
            var faults = SimulatedFaults()
            faults.dieAfterTokens = 4
            try await engine.inject(faults)
            let response = try await client.post(
                "/v1/completions", #"{"prompt":"x","max_tokens":50,"ignore_eos":true,"stream":true}"#)
            #expect(!response.isComplete)
            #expect(response.chunks.count <= 4)
            await #expect(throws: (any Error).self) { try await RawConnection(port: client.port) }
        }
    }

    @Test("hangs: accepts a request and never answers, until the client leaves")
    func hang() async throws {
        try await withEngine(configuration) { engine, client in
            var faults = SimulatedFaults()
            faults.hang = 1
            try await engine.inject(faults)
            let connection = try await RawConnection(port: client.port)
            try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: #"{"prompt":"x"}"#))
            try await eventually { !(try await engine.receivedRequests().total == 0) }
            #expect(try await client.post("/v1/completions", #"{"prompt":"x"}"#).status == 200)
            await connection.close()
        }
    }

    @Test("keeps connections alive, answers on them in turn, and closes idle ones when told")
    func keepAlive() async throws {
        try await withEngine(configuration) { engine, client in
            let connection = try await RawConnection(port: client.port)
            for _ in 0..<3 {
                try await connection.send(RawHTTPClient.request("GET", "/version", body: nil))
                #expect(await connection.read().body == #"{"version":"0.24.0"}"#)
            }
            var faults = SimulatedFaults()
            faults.closeIdle = true
            try await engine.inject(faults)
            #expect(await connection.read().statusLine.isEmpty)
        }
    }

    @Test("closes a connection that stays idle after an answer")
    func idleLimit() async throws {
        var configuration = configuration
        configuration.keepAlive = .milliseconds(1)
        try await withEngine(configuration) { _, client in
            let connection = try await RawConnection(port: client.port)
            try await connection.send(RawHTTPClient.request("GET", "/version", body: nil))
            #expect(await connection.read().status == 200)
            #expect(await connection.read().statusLine.isEmpty)
        }
    }

    @Test("a client that vanishes ends its generation")
    func vanish() async throws {
        try await withEngine(configuration) { engine, client in
            let connection = try await RawConnection(port: client.port)
            try await connection.send(
                RawHTTPClient.request(
                    "POST", "/v1/completions",
                    body: #"{"prompt":"x","max_tokens":32000,"ignore_eos":true,"stream":true}"#))
            _ = await connection.read { $0.count > 1_000 }
            await connection.close()
            try await eventually { !(try await engine.load() > 0) }
            #expect(try await engine.receivedRequests().aborted == 1)
        }
    }
}
