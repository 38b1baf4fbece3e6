import Testing

@testable import DisaggCore

@Suite("Simulated Mooncake hand-off", .timeLimit(.minutes(2)))
struct MooncakeHandoffTests {
    private static func give(_ id: String?) -> String {
        let transfer = id.map { #","transfer_id":"\#($0)""# } ?? ""
        return EnginePair.transfer(#""do_remote_decode":true,"do_remote_prefill":false\#(transfer)"#)
    }

    private static func take(_ pair: EnginePair, _ id: String, rank: Int = 0, engine: String? = nil) async throws
        -> String
    {
        let port = pair.prefillEngine.ports?.bootstrap ?? 0
        let query = try await RawHTTPClient(port: port).get("/query")
        let known = query.json?["\(rank)"]?["engine_id"]?.string ?? ""
        return EnginePair.transfer(
            #""do_remote_decode":false,"do_remote_prefill":true,"transfer_id":"\#(id)","#
                + #""remote_bootstrap_addr":"http://127.0.0.1:\#(port)","remote_engine_id":"\#(engine ?? known)""#)
    }

    @Test("the bootstrap server names each rank's engine and worker")
    func query() async throws {
        try await withPair(.mooncake, .init { $0.dataParallel = 2 }) { pair in
            let ports = try #require(pair.prefillEngine.ports)
            let answer = try await RawHTTPClient(port: ports.bootstrap ?? 0).get("/query")
            for rank in 0..<2 {
                let entry = try #require(answer.json?["\(rank)"])
                #expect(entry["engine_id"]?.string?.count == 36)
                #expect(entry["worker_addr"]?["0"]?["0"]?.string == "tcp://127.0.0.1:\(ports.sideChannels[rank])")
            }
            #expect(answer.json?["0"]?["engine_id"]?.string != answer.json?["1"]?["engine_id"]?.string)
            #expect(pair.decodeEngine.ports?.bootstrap == nil)
        }
    }

    @Test("legs with one transfer id meet, whichever comes first, at any rank", arguments: [true, false], [1, 2])
    func pairs(decodeFirst: Bool, ranks: Int) async throws {
        try await withPair(.mooncake, .init { $0.dataParallel = ranks }) { pair in
            let rank = ranks - 1
            let body = EnginePair.body(try await Self.take(pair, "xfer-1", rank: rank))
            try await pair.handOff(decodeFirst: decodeFirst, body) {
                let prefill = try await pair.prefill.complete(
                    EnginePair.body(Self.give("xfer-1"), #""ignore_eos":true"#, tokens: 1), rank: rank)
                #expect(prefill.status == 200 && prefill.json?["kv_transfer_params"]?.isNull == true)
            }
        }
    }

    @Test("a request of the other role kills either engine")
    func wrongRole() async throws {
        try await withPair(.mooncake) { pair in
            let take = try await Self.take(pair, "x")
            #expect(try await pair.prefill.complete(EnginePair.body(take)).status == 500)
            #expect(try await pair.decode.complete(EnginePair.body(Self.give("x"))).status == 500)
            #expect(try await pair.ledgers().allSatisfy(\.dead))
        }
    }

    @Test(
        "a prefill that ends with a stop token, or has no transfer id, sends nothing: the decoder waits for its limit",
        arguments: [true, false])
    func dropped(stops: Bool) async throws {
        try await withPair(.mooncake, .init { $0.timers = HandoffTimers().scaled(by: 0.001) }) { pair in
            var members = Self.give(stops ? "x" : nil)
            if stops {
                let first = try await pair.alone.complete(EnginePair.body(#""return_token_ids":true"#, tokens: 1))
                let token = try #require(first.json?["choices"]?[0]?["token_ids"]?.integers?.first)
                members += #","stop_token_ids":[\#(token)]"#
            }
            let take = try await Self.take(pair, "x")
            #expect(try await pair.prefill.complete(EnginePair.body(members, tokens: 1)).status == 200)
            let decode = try await pair.decode.complete(EnginePair.body(take))
            #expect(decode.status == 500)
            try await pair.expectClean()
        }
    }

    @Test("an engine id of before a restart fails at once")
    func staleEngine() async throws {
        try await withPair(.mooncake) { pair in
            let take = try await Self.take(pair, "x", engine: "0b5e9a3c-0000-4000-8000-000000000000")
            #expect(try await pair.decode.complete(EnginePair.body(take)).status == 500)
            try await pair.expectClean()
        }
    }

    @Test("what nobody takes is freed after its limit; a rejected decode frees it at once", arguments: [true, false])
    func untaken(rejects: Bool) async throws {
        try await withPair(
            .mooncake, .init { $0.timers.mooncakeAbort = rejects ? .seconds(480) : .milliseconds(50) }
        ) { pair in
            let take = try await Self.take(pair, "x")
            let prefill = try await pair.prefill.complete(EnginePair.body(Self.give("x"), tokens: 1))
            #expect(prefill.status == 200)
            if rejects {
                #expect(try await pair.decode.complete(EnginePair.body(take, tokens: 999_999)).status == 400)
            }
            try await pair.settle()
            let ledger = try await pair.prefillEngine.ledger()
            #expect(ledger.expired == (rejects ? 0 : 1) && ledger.released == EnginePair.blocks)
        }
    }

    @Test("parameters with a field missing, or none: the decoder computes the prompt itself")
    func incomplete() async throws {
        try await withPair(.mooncake) { pair in
            for members in [EnginePair.transfer(#""do_remote_prefill":true"#), #""user":"x""#] {
                let decode = try await pair.decode.complete(EnginePair.body(members))
                #expect(decode.text == (try await pair.text()))
            }
            try await pair.expectClean()
        }
    }
}
