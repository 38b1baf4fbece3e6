import Logging
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Simulated MoRIIO and P2pNccl hand-offs", .timeLimit(.minutes(2)))
struct MoRIIOHandoffTests {
    /// The request id that carries both engines' addresses.
    private static func id(_ pair: EnginePair, _ number: Int = 1) -> String {
        let prefill = pair.prefillEngine.registration?.zmqAddress ?? ""
        let decode = pair.decodeEngine.registration?.zmqAddress ?? ""
        let digits = String(number, radix: 16)
        return "___prefill_addr_\(prefill)___decode_addr_\(decode)_" + String(repeating: "0", count: 32 - digits.count)
            + digits
    }

    private static func give(_ id: String?) -> String {
        let transfer = id.map { #","transfer_id":"\#($0)""# } ?? ""
        return EnginePair.transfer(
            #""do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null"#
                + transfer)
    }

    private static func take(_ id: String, rank: Int = 0) -> String {
        EnginePair.transfer(
            #""do_remote_decode":false,"do_remote_prefill":true,"transfer_id":"\#(id)","remote_dp_rank":\#(rank)"#)
    }

    @Test("read: the answer's parameters let the decoder read, at any rank", arguments: [1, 2])
    func read(ranks: Int) async throws {
        try await withPair(
            .moriio,
            .init {
                $0.moriioReads = true
                $0.dataParallel = ranks
            }
        ) { pair in
            let id = Self.id(pair)
            let prefill = try await pair.prefill.complete(
                EnginePair.body(Self.give("tx-1"), #""ignore_eos":true"#, tokens: 1), id: id, rank: ranks - 1)
            let parameters = try #require(prefill.json?["kv_transfer_params"])
            #expect(parameters["remote_dp_rank"]?.int == ranks - 1 && parameters["transfer_id"]?.string == "tx-1")
            let port = pair.prefillEngine.ports?.sideChannel ?? 0
            #expect(parameters["remote_engine_id"]?.string == "127.0.0.1:\(port)")
            let decode = try await pair.decode.complete(
                EnginePair.body(#""kv_transfer_params":\#(parameters.rawString)"#), id: id)
            #expect(decode.text == (try await pair.text()))
            try await pair.expectClean()
            #expect(try await pair.decodeEngine.ledger().hits == 1)
        }
    }

    @Test("write: both legs meet by transfer id and the addresses in the request id", arguments: [true, false])
    func write(decodeFirst: Bool) async throws {
        try await withPair(.moriio) { pair in
            let id = Self.id(pair)
            try await pair.handOff(
                decodeFirst: decodeFirst, EnginePair.body(Self.take("tx-1")), headers: ["X-Request-Id: \(id)"]
            ) {
                let prefill = try await pair.prefill.complete(
                    EnginePair.body(Self.give("tx-1"), #""ignore_eos":true"#, tokens: 1), id: id)
                #expect(prefill.status == 200)
            }
        }
    }

    @Test("a prefill without transfer id kills the engine when it finishes")
    func withoutTransferID() async throws {
        try await withPair(.moriio) { pair in
            let answer = try await pair.prefill.complete(EnginePair.body(Self.give(nil), tokens: 1), id: Self.id(pair))
            #expect(answer.status == 500)
            #expect(try await pair.prefillEngine.ledger().dead)
        }
    }

    @Test("a request id without addresses kills either engine")
    func withoutAddresses() async throws {
        try await withPair(.moriio) { pair in
            let prefill = try await pair.prefill.complete(EnginePair.body(Self.give("x"), tokens: 1), id: "plain")
            let decode = try await pair.decode.complete(EnginePair.body(Self.take("x")), id: "plain")
            #expect(prefill.status == 500 && decode.status == 500)
            #expect(try await pair.ledgers().allSatisfy(\.dead))
        }
    }

    @Test("write: another rank, or a prefill that ends with a stop token: the decoder gives up, the prefill frees")
    func neverMeets() async throws {
        try await withPair(
            .moriio,
            .init {
                $0.timers = HandoffTimers().scaled(by: 0.002)
                $0.dataParallel = 2
            }
        ) { pair in
            let prefill = try await pair.prefill.complete(
                EnginePair.body(Self.give("tx-1"), #""ignore_eos":true"#, tokens: 1), id: Self.id(pair), rank: 1)
            let decode = try await pair.decode.complete(EnginePair.body(Self.take("tx-1", rank: 0)), id: Self.id(pair))
            #expect(prefill.status == 200 && decode.status == 500)
            try await pair.settle()
            #expect(try await pair.prefillEngine.ledger().expired == 1)
        }
    }

    @Test("write: a decoder whose client leaves tells the prefill engine to free")
    func decoderLeaves() async throws {
        try await withPair(.moriio) { pair in
            let id = Self.id(pair)
            try await pair.prefillEngine.inject(.with { $0.holdPrefills = true })
            let prefill = try await RawConnection(port: pair.prefill.port)
            let give = EnginePair.body(Self.give("tx-1"), #""ignore_eos":true"#, tokens: 1)
            try await prefill.send(
                RawHTTPClient.request("POST", "/v1/completions", body: give, headers: ["X-Request-Id: \(id)"]))
            let decode = try await RawConnection(port: pair.decode.port)
            try await decode.send(
                RawHTTPClient.request(
                    "POST", "/v1/completions", body: EnginePair.body(Self.take("tx-1")),
                    headers: ["X-Request-Id: \(id)"]))
            try await eventually { try await pair.decodeEngine.ledger().held == EnginePair.blocks }
            await decode.close()
            try await eventually { try await pair.decodeEngine.load() == 0 }
            try await pair.prefillEngine.inject(SimulatedFaults())
            #expect(await prefill.read().status == 200)
            await prefill.close()
            try await pair.expectClean()
        }
    }

    @Test("both kinds of engine ping the proxy with their addresses", arguments: [HandoffKind.moriio, .p2pNCCL])
    func pings(handoff: HandoffKind) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: [EngineRegistration].self)
        let listener = RegistrationListener(
            endpoint: Endpoint(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
        let port = try await listener.start()
        try await withPair(handoff, .init { $0.pingEndpoint = Endpoint(host: "127.0.0.1", port: port) }) { pair in
            var seen: [EngineRegistration] = []
            for await list in stream where list.count == 2 {
                seen = list
                break
            }
            let expected = [pair.prefillEngine.registration, pair.decodeEngine.registration].compactMap { $0 }
            #expect(Set(seen) == Set(expected) && expected.count == 2)
            #expect(seen.first?.transferMode == (handoff == .moriio ? "WRITE" : nil))
            _ = try await pair.ledgers()
        }
        await listener.shutdown()
    }

    // MARK: P2pNccl

    @Test("p2p-nccl: tensors go to the decoder's store under the request id", arguments: [true, false])
    func store(decodeFirst: Bool) async throws {
        try await withPair(.p2pNCCL) { pair in
            let id = Self.id(pair)
            try await pair.handOff(
                decodeFirst: decodeFirst, EnginePair.body(), headers: ["X-Request-Id: \(id)"],
                isWaiting: { $0.stuck == 1 },
                arrives: { try await eventually { try await pair.decodeEngine.ledger().held == EnginePair.blocks } }
            ) {
                let prefill = try await pair.prefill.complete(EnginePair.body(tokens: 1), id: id)
                #expect(prefill.status == 200)
            }
        }
    }

    @Test("p2p-nccl: an id without addresses kills either engine")
    func unparsable() async throws {
        try await withPair(.p2pNCCL) { pair in
            let prefill = try await pair.prefill.complete(EnginePair.body(tokens: 1), id: "plain")
            let decode = try await pair.decode.complete(EnginePair.body(), id: "plain")
            #expect(prefill.status == 500 && decode.status == 500)
            #expect(try await pair.ledgers().allSatisfy(\.dead))
        }
    }

    @Test("p2p-nccl: a missing tensor keeps every request of the decoder waiting until it comes")
    func stuck() async throws {
        try await withPair(.p2pNCCL) { pair in
            let (first, second) = (Self.id(pair, 1), Self.id(pair, 2))
            let lost = try await RawConnection(port: pair.decode.port)
            try await lost.send(
                RawHTTPClient.request(
                    "POST", "/v1/completions", body: EnginePair.body(), headers: ["X-Request-Id: \(first)"]))
            try await eventually { try await pair.decodeEngine.ledger().stuck == 1 }
            await lost.close()
            try await eventually { try await pair.decodeEngine.load() == 0 }
            _ = try await pair.prefill.complete(EnginePair.body(tokens: 1), id: second)
            let other = try await RawConnection(port: pair.decode.port)
            try await other.send(
                RawHTTPClient.request(
                    "POST", "/v1/completions", body: EnginePair.body(), headers: ["X-Request-Id: \(second)"]))
            try await eventually { try await pair.decodeEngine.load() == 1 }
            #expect(try await pair.decodeEngine.ledger().stuck == 1)
            // Only the first one's tensors wake the worker.
            _ = try await pair.prefill.complete(EnginePair.body(tokens: 1), id: first)
            let text = await other.read().text
            #expect(text == (try await pair.text()))
            await other.close()
            try await pair.expectClean()
        }
    }

    @Test("p2p-nccl: what is never decoded fills the store for ever, and then tensors are lost")
    func full() async throws {
        try await withPair(.p2pNCCL, .init { $0.storeBlocks = EnginePair.blocks }) { pair in
            for number in 1...2 {
                _ = try await pair.prefill.complete(EnginePair.body(tokens: 1), id: Self.id(pair, number))
            }
            try await eventually { try await pair.decodeEngine.ledger().protocolViolations == 1 }
            #expect(try await pair.decodeEngine.ledger().held == EnginePair.blocks)
        }
    }
}
