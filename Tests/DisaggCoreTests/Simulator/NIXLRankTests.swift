import Testing

@testable import DisaggCore

/// What NIXL engines do beside the plain pull: ranks, lists of prompts, heartbeats, turns, and push.
@Suite("Simulated NIXL ranks, turns and push", .timeLimit(.minutes(2)))
struct NIXLRankTests {
    private static let ask = EnginePair.transfer(#""do_remote_decode":true,"do_remote_prefill":false"#)

    private static func parameters(_ answer: RawResponse) -> String {
        answer.json?["kv_transfer_params"]?.rawString ?? "null"
    }

    @Test("each data-parallel rank has its own engine id and side channel, and holds its own blocks")
    func ranks() async throws {
        try await withPair(.nixl, .init { $0.dataParallel = 3 }) { pair in
            let ports = try #require(pair.prefillEngine.ports).sideChannels
            #expect(ports.count == 3 && ports[1] == ports[0] + 1 && ports[2] == ports[0] + 2)
            for rank in [2, 0, 1] {
                let answer = try await pair.prefill.complete(EnginePair.body(Self.ask, tokens: 1), rank: rank)
                let view = try JSONView(parsing: Self.parameters(answer))
                #expect(view["remote_engine_id"]?.string == "prefill-0_dp\(rank)")
                #expect(view["remote_port"]?.int == ports[rank])
                #expect(view["remote_block_ids"]?[0]?.integers?.count == EnginePair.blocks)
                let decode = try await pair.decode.complete(
                    EnginePair.body(#""kv_transfer_params":\#(view.rawString)"#), rank: 2 - rank)
                #expect(decode.text == (try await pair.text()))
            }
            try await pair.expectClean()
            #expect(try await pair.decodeEngine.ledger().hits == 3)
        }
    }

    @Test("without the header the ranks take turns, and a rank that is none is ignored")
    func turns() async throws {
        try await withPair(.nixl, .init { $0.dataParallel = 2 }) { pair in
            var ids: [String] = []
            for header in [[], ["X-data-parallel-rank: 7"], ["X-data-parallel-rank: x"]] as [[String]] {
                let answer = try await pair.prefill.complete(EnginePair.body(Self.ask, tokens: 1), headers: header)
                let parameters = Self.parameters(answer)
                ids.append(try JSONView(parsing: parameters)["remote_engine_id"]?.string ?? "")
                _ = try await pair.decode.complete(EnginePair.body(#""kv_transfer_params":\#(parameters)"#))
            }
            #expect(ids == ["prefill-0_dp0", "prefill-0_dp1", "prefill-0_dp0"])
            try await pair.expectClean()
        }
    }

    @Test("of a list of prompts only the first one's blocks can be taken: the others' leak")
    func promptList() async throws {
        try await withPair(.nixl, .init { $0.timers.nixlLease = .milliseconds(300) }) { pair in
            let prompts = [EnginePair.prompt, Array(repeating: 73, count: 20)]
            let answer = try await pair.prefill.complete(#"{"prompt":\#(prompts),"max_tokens":1,\#(Self.ask)}"#)
            _ = try await pair.decode.complete(EnginePair.body(#""kv_transfer_params":\#(Self.parameters(answer))"#))
            try await pair.settle()
            let ledger = try await pair.prefillEngine.ledger()
            #expect(ledger.expired == 1 && ledger.leaked == 2 && ledger.released == EnginePair.blocks)
        }
    }

    @Test("KV of another prompt is noticed")
    func otherPrompt() async throws {
        try await withPair(.nixl) { pair in
            let answer = try await pair.prefill.complete(EnginePair.body(Self.ask, tokens: 1))
            let other = #"{"prompt":"another","max_tokens":2,"kv_transfer_params":\#(Self.parameters(answer))}"#
            _ = try await pair.decode.complete(other)
            #expect(try await pair.decodeEngine.ledger().protocolViolations == 1)
        }
    }

    @Test("a decoder that has no room yet keeps the blocks alive with heartbeats")
    func heartbeats() async throws {
        let lease = Duration.milliseconds(600)
        try await withPair(
            .nixl,
            .init {
                $0.timers.nixlLease = lease
                if $0.role == .decode { $0.maximumRunning = 1 }
            }
        ) { pair in
            try await pair.decodeEngine.inject(.with { $0.holdDecodes = true })
            let first = try await RawConnection(port: pair.decode.port)
            try await first.send(RawHTTPClient.request("POST", "/v1/completions", body: EnginePair.body()))
            try await eventually { try await pair.decodeEngine.load() == 1 }
            let answer = try await pair.prefill.complete(EnginePair.body(Self.ask, tokens: 1))
            let second = try await RawConnection(port: pair.decode.port)
            let body = EnginePair.body(#""kv_transfer_params":\#(Self.parameters(answer))"#)
            try await second.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
            // Not to wait for something, but to let three leases pass in which nothing may happen.
            try await Task.sleep(for: lease * 3)
            #expect(try await pair.prefillEngine.ledger().held == EnginePair.blocks)
            try await pair.decodeEngine.inject(SimulatedFaults())
            let text = await second.read().text
            #expect(text == (try await pair.text()))
            await first.close()
            await second.close()
            try await pair.expectClean()
        }
    }

    @Test("the next turn's prefill takes the last turn's blocks from the decoder, once")
    func conversation() async throws {
        try await withPair(.nixl, .init { $0.isBidirectional = true }) { pair in
            let prompt = Array(repeating: 72, count: 80)
            let members = #""return_token_ids":true,"temperature":0"#
            let first = try await pair.prefill.complete(#"{"prompt":\#(prompt),"max_tokens":1,\#(Self.ask)}"#)
            let turn = try await pair.decode.complete(
                #"{"prompt":\#(prompt),"max_tokens":5,\#(members),"kv_transfer_params":\#(Self.parameters(first))}"#)
            let generated = try #require(turn.json?["choices"]?[0]?["token_ids"]?.integers)
            let kept = try #require(turn.json?["kv_transfer_params"])
            #expect(kept["do_remote_decode"]?.bool == true && kept["do_remote_prefill"]?.bool == false)
            #expect(kept["remote_num_tokens"]?.int == 84 && kept["remote_blocks_expiry_time"]?.double != nil)
            #expect(try await pair.decodeEngine.ledger().held == 6)
            let next = prompt + generated + [80, 81, 82]
            let body = #"{"prompt":\#(next),"max_tokens":1,"kv_transfer_params":\#(kept.rawString)}"#
            let second = try await pair.prefill.complete(body)
            #expect(second.status == 200 && Self.parameters(second) != "null")
            #expect(try await pair.decodeEngine.ledger().held == 0)
            #expect(try await pair.prefillEngine.ledger().hits == 1)
            let used = try await pair.prefill.complete(body)
            #expect(used.status == 500)
            #expect(try await pair.decodeEngine.ledger().doubleFreed == 6)
        }
    }

    @Test("a turn that nobody takes up is freed after its time")
    func forgottenTurn() async throws {
        try await withPair(
            .nixl,
            .init {
                $0.isBidirectional = true
                $0.timers.nixlTurn = .milliseconds(50)
            }
        ) { pair in
            let first = try await pair.prefill.complete(EnginePair.body(Self.ask, tokens: 1))
            let body = EnginePair.body(#""kv_transfer_params":\#(Self.parameters(first)),"stream":true"#)
            let turn = try await pair.decode.complete(body)
            #expect(turn.events.last?["kv_transfer_params"]?["do_remote_decode"]?.bool == true)
            try await pair.settle()
            let ledger = try await pair.decodeEngine.ledger()
            #expect(ledger.isClean && ledger.released == EnginePair.blocks)
        }
    }

    // MARK: Push

    private static func push(_ pair: EnginePair, rank: Int = 0, without name: String = "-") -> String {
        let ports = pair.prefillEngine.ports?.sideChannels ?? []
        let suffix = ports.count > 1 ? "_dp\(rank)" : ""
        let members = [
            ("do_remote_prefill", "true"), ("remote_engine_id", "\"prefill-0\(suffix)\""),
            ("remote_host", "\"127.0.0.1\""), ("remote_port", "\(ports[rank])"), ("tp_size", "1"),
        ].filter { $0.0 != name }
        return EnginePair.transfer(members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ","))
    }

    @Test("push: legs with one request id pair, whichever comes first", arguments: [true, false], [1, 2])
    func push(decodeFirst: Bool, ranks: Int) async throws {
        try await withPair(.nixlPush, .init { $0.dataParallel = ranks }) { pair in
            let rank = ranks - 1
            let body = EnginePair.body(Self.push(pair, rank: rank))
            try await pair.handOff(decodeFirst: decodeFirst, body, headers: ["X-Request-Id: a1"]) {
                let prefill = try await pair.prefill.complete(
                    EnginePair.body(EnginePair.transfer(#""do_remote_decode":true"#), tokens: 1), id: "a1", rank: rank)
                #expect(prefill.status == 200)
            }
        }
    }

    @Test(
        "push: a decode without a coordinate kills the decoder",
        arguments: ["remote_engine_id", "remote_host", "remote_port", "tp_size"])
    func pushWithout(name: String) async throws {
        try await withPair(.nixlPush) { pair in
            let answer = try await pair.decode.complete(EnginePair.body(Self.push(pair, without: name)), id: "a")
            #expect(answer.status == 500)
            #expect(try await pair.decodeEngine.ledger().dead)
        }
    }

    @Test("push: another endpoint or id never pairs: the decoder waits out its limit, the prefill its lease")
    func pushOther() async throws {
        try await withPair(.nixlPush, .init { $0.timers = HandoffTimers().scaled(by: 0.001) }) { pair in
            let prefill = try await pair.prefill.complete(
                EnginePair.body(EnginePair.transfer(#""do_remote_decode":true"#), tokens: 1), id: "b")
            let decode = try await pair.decode.complete(EnginePair.body(Self.push(pair)), id: "a")
            #expect(prefill.status == 200 && decode.status == 500)
            try await pair.settle()
            let ledgers = try await pair.ledgers()
            #expect(ledgers[0].expired == 1 && ledgers[1].misses == 1 && !ledgers[1].dead)
        }
    }
}
