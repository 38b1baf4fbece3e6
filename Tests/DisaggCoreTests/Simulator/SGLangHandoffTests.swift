import Testing

@testable import DisaggCore

@Suite("Simulated SGLang and offloading hand-offs", .timeLimit(.minutes(2)))
struct SGLangHandoffTests {
    private static func room(_ pair: EnginePair, _ room: Int) -> String {
        #""bootstrap_host":"127.0.0.1","bootstrap_port":\#(pair.prefillEngine.ports?.bootstrap ?? 0),"#
            + #""bootstrap_room":\#(room)"#
    }

    private static func rooms(_ pair: EnginePair, _ rooms: [Int]) -> String {
        let port = pair.prefillEngine.ports?.bootstrap ?? 0
        return #""bootstrap_host":\#(rooms.map { _ in "127.0.0.1" }),"#
            + #""bootstrap_port":\#(rooms.map { _ in port }),"bootstrap_room":\#(rooms)"#
    }

    @Test("the same request to both engines meets in its room, streamed or not", arguments: [true, false])
    func meets(isStream: Bool) async throws {
        try await withPair(.sglang) { pair in
            let body = EnginePair.body(Self.room(pair, 7), #""stream":\#(isStream)"#)
            async let prefill = pair.prefill.complete(body)
            async let decode = pair.decode.complete(body)
            let answers = try await (prefill, decode)
            let expected = try await pair.text()
            #expect((isStream ? answers.1.streamedText : answers.1.text) == expected)
            #expect(answers.0.status == 200 && answers.0.isComplete)
            try await pair.expectClean()
            #expect(try await pair.decodeEngine.ledger().hits == 1)
        }
    }

    @Test("the prefill engine waits until the decoder is in the room")
    func waits() async throws {
        try await withPair(.sglang) { pair in
            let body = EnginePair.body(Self.room(pair, 7))
            let prefill = try await RawConnection(port: pair.prefill.port)
            try await prefill.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
            try await eventually { try await pair.prefillEngine.load() == 1 }
            #expect(try await pair.prefillEngine.ledger().held == 0)
            #expect(try await pair.decode.complete(body).status == 200)
            #expect(await prefill.read().status == 200)
            await prefill.close()
            try await pair.expectClean()
        }
    }

    @Test("a batch has a room for each prompt")
    func batches() async throws {
        try await withPair(.sglang) { pair in
            let prompts = #"{"prompt":["one","two"],"max_tokens":4,"temperature":0"#
            let body = "\(prompts),\(Self.rooms(pair, [Int.max, Int.max - 1]))}"
            async let prefill = pair.prefill.complete(body)
            async let decode = pair.decode.complete(body)
            let answers = try await (prefill, decode)
            let expected = try await pair.alone.complete(prompts + "}").json?["choices"]?.rawString
            #expect(answers.1.json?["choices"]?.rawString == expected && answers.0.status == 200)
            try await pair.expectClean()
            let refused = try await pair.decode.complete("\(prompts),\(Self.room(pair, 9))}")
            #expect(refused.status == 400)
        }
    }

    @Test("several choices of a prompt are put into one room, where both engines wait until their limit")
    func choices() async throws {
        try await withPair(.sglang, .init { $0.timers.sglangWaiting = .milliseconds(100) }) { pair in
            let body = #"{"prompt":"one","max_tokens":4,"temperature":0.5,"n":2,\#(Self.room(pair, 7))}"#
            async let prefill = pair.prefill.complete(body)
            async let decode = pair.decode.complete(body)
            let answers = try await (prefill, decode)
            #expect(answers.0.status == 500 && answers.1.status == 500)
            try await pair.expectClean()
        }
    }

    @Test("a room used twice kills both engines")
    func reused() async throws {
        try await withPair(.sglang) { pair in
            let body = EnginePair.body(Self.room(pair, 7))
            for status in [200, 500] {
                async let prefill = pair.prefill.complete(body)
                async let decode = pair.decode.complete(body)
                let answers = try await (prefill, decode)
                #expect(answers.0.status == status && answers.1.status == status)
            }
            #expect(try await pair.ledgers().allSatisfy(\.dead))
        }
    }

    @Test("without a room the prefill engine dies, and the decoder refuses: it cannot prefill")
    func withoutRoom() async throws {
        try await withPair(.sglang) { pair in
            let decode = try await pair.decode.complete(EnginePair.body())
            #expect(decode.status == 400 && decode.json?["object"]?.string == "error")
            #expect(decode.json?["code"]?.int == 400 && decode.json?["error"] == nil)
            let prefill = try await pair.prefill.complete(EnginePair.body())
            #expect(prefill.status == 500)
            let ledgers = try await pair.ledgers()
            #expect(ledgers[0].dead && !ledgers[1].dead)
        }
    }

    @Test("one leg alone waits for its limit, then fails and holds nothing", arguments: [true, false])
    func alone(prefillOnly: Bool) async throws {
        try await withPair(.sglang, .init { $0.timers.sglangWaiting = .milliseconds(100) }) { pair in
            let client = prefillOnly ? pair.prefill : pair.decode
            let answer = try await client.complete(EnginePair.body(Self.room(pair, 7)))
            #expect(answer.status == 500 && answer.json?["object"]?.string == "error")
            try await pair.expectClean()
        }
    }

    @Test("an aborted prefill leaves the decoder waiting; the decoder's blocks are free after its limit")
    func abortedPrefill() async throws {
        try await withPair(.sglang, .init { $0.timers.sglangWaiting = .milliseconds(300) }) { pair in
            let body = EnginePair.body(Self.room(pair, 7))
            try await pair.prefillEngine.inject(.with { $0.holdPrefills = true })
            let decode = try await RawConnection(port: pair.decode.port)
            try await decode.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
            let prefill = try await RawConnection(port: pair.prefill.port)
            try await prefill.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
            try await eventually { try await pair.prefillEngine.load() == 1 }
            await prefill.close()
            #expect(try await pair.decodeEngine.ledger().held == EnginePair.blocks)
            #expect(await decode.read().status == 500)
            await decode.close()
            try await pair.expectClean()
        }
    }

    // MARK: Offloading P2P

    private static func give(_ id: String) -> String {
        EnginePair.transfer(#""remote_decoder":{"kv_request_id":"\#(id)"}"#)
    }

    private static func take(_ pair: EnginePair, _ id: String, rank: Int = 0) -> String {
        let port = pair.prefillEngine.ports?.sideChannels[rank] ?? 0
        return EnginePair.transfer(
            #""remote_prefiller":{"kv_request_id":"\#(id)","remote_host":"127.0.0.1","remote_port":\#(port)}"#)
    }

    @Test("offload-p2p: the consumer loads what the producer keeps, whichever comes first", arguments: [true, false])
    func offload(decodeFirst: Bool) async throws {
        try await withPair(.offloadP2P, .init { $0.dataParallel = 2 }) { pair in
            try await pair.handOff(decodeFirst: decodeFirst, EnginePair.body(Self.take(pair, "kv-1", rank: 1))) {
                let prefill = try await pair.prefill.complete(EnginePair.body(Self.give("kv-1"), tokens: 1), rank: 1)
                #expect(prefill.status == 200)
            }
        }
    }

    @Test("offload-p2p: KV that does not come is computed after the limit, KV nobody takes is freed after its own")
    func offloadLimits() async throws {
        try await withPair(.offloadP2P, .init { $0.timers = HandoffTimers().scaled(by: 0.002) }) { pair in
            _ = try await pair.prefill.complete(EnginePair.body(Self.give("kv-1"), tokens: 1))
            let decode = try await pair.decode.complete(EnginePair.body(Self.take(pair, "kv-2")))
            #expect(decode.text == (try await pair.text()))
            try await pair.settle()
            let ledgers = try await pair.ledgers()
            #expect(ledgers[0].expired == 1 && ledgers[0].leaked == 0 && ledgers[1].misses == 1)
        }
    }
}
