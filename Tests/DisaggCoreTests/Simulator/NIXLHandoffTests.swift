import Testing

@testable import DisaggCore

@Suite("Simulated NIXL hand-off", .timeLimit(.minutes(3)))
struct NIXLHandoffTests {
    private static let ask = #""kv_transfer_params":{"do_remote_decode":true,"do_remote_prefill":false}"#

    private func withPair(
        lease: Duration = .seconds(30),
        _ body: (
            _ prefill: SimulatedEngine, _ decode: SimulatedEngine, _ prefillClient: RawHTTPClient,
            _ decodeClient: RawHTTPClient
        ) async throws -> Void
    ) async throws {
        var configuration = SimulatedEngineConfiguration(role: .prefill, handoff: .nixl)
        configuration.timers.nixlLease = lease
        try await withEngine(configuration) { prefill, prefillClient in
            configuration.role = .decode
            try await withEngine(configuration) { decode, decodeClient in
                try await body(prefill, decode, prefillClient, decodeClient)
            }
        }
    }

    /// A prefill of 40 tokens, three blocks; its `kv_transfer_params`.
    private func prefill(_ client: RawHTTPClient) async throws -> String {
        let prompt = Array(repeating: 72, count: 40)
        let response = try await client.post(
            "/v1/completions", #"{"prompt":\#(prompt),"max_tokens":1,\#(Self.ask)}"#)
        return response.json?["kv_transfer_params"]?.rawString ?? ""
    }

    private func decodeBody(_ transfer: String, maximum: Int = 5) -> String {
        #"{"prompt":\#(Array(repeating: 72, count: 40)),"max_tokens":\#(maximum),"kv_transfer_params":\#(transfer)}"#
    }

    @Test("the decoder pulls, the prefill engine frees, the text is that of one engine")
    func pull() async throws {
        try await withPair { prefillEngine, decodeEngine, prefillClient, decodeClient in
            let transfer = try await prefill(prefillClient)
            let view = try JSONView(parsing: transfer)
            #expect(view["do_remote_prefill"]?.bool == true)
            #expect(view["remote_block_ids"]?[0]?.integers?.count == 3)
            #expect(view["remote_num_tokens"]?.int == 40)
            #expect(try await prefillEngine.ledger().held == 3)
            let decode = try await decodeClient.post("/v1/completions", decodeBody(transfer))
            let plain = try await decodeClient.post(
                "/v1/completions", #"{"prompt":\#(Array(repeating: 72, count: 40)),"max_tokens":5}"#)
            #expect(decode.json?["choices"]?.rawString == plain.json?["choices"]?.rawString)
            let ledger = try await prefillEngine.ledger()
            #expect(ledger.isClean && ledger.released == 3)
            #expect(try await decodeEngine.ledger().transferred == 3)
        }
    }

    @Test("a rejected decode releases the blocks at once")
    func rejected() async throws {
        try await withPair { prefillEngine, _, prefillClient, decodeClient in
            let transfer = try await prefill(prefillClient)
            let response = try await decodeClient.post("/v1/completions", decodeBody(transfer, maximum: 999_999))
            #expect(response.status == 400)
            try await eventually { !(try await prefillEngine.ledger().held > 0) }
            #expect(try await prefillEngine.ledger().isClean)
        }
    }

    @Test("a decode whose client vanishes releases the blocks")
    func vanished() async throws {
        try await withPair { prefillEngine, decodeEngine, prefillClient, decodeClient in
            var faults = SimulatedFaults()
            faults.holdDecodes = true
            try await decodeEngine.inject(faults)
            let transfer = try await prefill(prefillClient)
            let connection = try await RawConnection(port: decodeClient.port)
            try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: decodeBody(transfer)))
            try await eventually { !(try await decodeEngine.receivedRequests().total == 0) }
            await connection.close()
            try await eventually { !(try await prefillEngine.ledger().held > 0) }
            #expect(try await prefillEngine.ledger().isClean)
            try await eventually { !(try await decodeEngine.load() > 0) }
        }
    }

    @Test("a lease that runs out is counted as leaked, and the read after it fails")
    func expired() async throws {
        try await withPair(lease: .milliseconds(1)) { prefillEngine, _, prefillClient, decodeClient in
            let transfer = try await prefill(prefillClient)
            try await eventually { !(try await prefillEngine.ledger().held > 0) }
            let ledger = try await prefillEngine.ledger()
            #expect(ledger.expired == 1 && ledger.leaked == 3)
            let response = try await decodeClient.post("/v1/completions", decodeBody(transfer))
            #expect(response.status == 500)
            #expect(response.json?["error"]?["type"]?.string == "InternalServerError")
        }
    }

    @Test("the same parameters twice: a 500 and a double free")
    func twice() async throws {
        try await withPair { prefillEngine, _, prefillClient, decodeClient in
            let transfer = try await prefill(prefillClient)
            #expect(try await decodeClient.post("/v1/completions", decodeBody(transfer)).status == 200)
            #expect(try await decodeClient.post("/v1/completions", decodeBody(transfer)).status == 500)
            #expect(try await prefillEngine.ledger().doubleFreed == 3)
        }
    }

    @Test("parameters of an unknown engine: a 500, in a stream an error event and [DONE]")
    func unknown() async throws {
        try await withPair { prefillEngine, _, prefillClient, decodeClient in
            let transfer = try await prefill(prefillClient).replacing(
                "remote_engine_id\":\"", with: "remote_engine_id\":\"x")
            #expect(try await decodeClient.post("/v1/completions", decodeBody(transfer)).status == 500)
            #expect(try await prefillEngine.ledger().unknownPulls == 1)
            let body = String(decodeBody(transfer).dropLast()) + #","stream":true}"#
            let stream = try await decodeClient.post("/v1/completions", body)
            #expect(stream.status == 200 && stream.isComplete)
            #expect(stream.events.first?["error"]?["code"]?.int == 500)
            #expect(stream.body.hasSuffix("data: [DONE]\n\n"))
        }
    }

    @Test("a client that leaves a prefill leaves nothing held")
    func abortedPrefill() async throws {
        try await withPair { prefillEngine, _, prefillClient, _ in
            var faults = SimulatedFaults()
            faults.holdPrefills = true
            try await prefillEngine.inject(faults)
            let connection = try await RawConnection(port: prefillClient.port)
            try await connection.send(
                RawHTTPClient.request("POST", "/v1/completions", body: #"{"prompt":"x","max_tokens":1,\#(Self.ask)}"#))
            try await eventually { !(try await prefillEngine.load() == 0) }
            await connection.close()
            try await eventually { !(try await prefillEngine.load() > 0) }
            #expect(try await prefillEngine.ledger().isClean)
        }
    }
}
