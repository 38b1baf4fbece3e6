import Testing

@testable import DisaggCore

/// The property that defines the proxy: prefill/decode disaggregation must not be seen in an answer.
@Suite("Oracle")
struct OracleTests {
    @Test(
        "an answer through the proxy equals the answer of one engine without a hand-off",
        arguments: Topology.everyMode.flatMap { mode in
            [mode.sized(1, 1), mode.sized(2, 2)] + (mode.hasDataParallelRanks ? [mode.sized(2, 2).ranked(2)] : [])
        })
    func answersAreEqual(topology: Topology) async throws {
        try await withProxy(topology, .init(configure: { $0.timers.nixlTurn = .milliseconds(50) })) { harness in
            var generator = SeededGenerator(seed: 20_261_122)
            // A list of prompts or several choices are not to be had of TensorRT-LLM, nor of a P2pNccl decoder.
            let isSingle = [.trtllm, .p2pNCCL].contains(topology.handoff)
            // SGLang's choices are requests of their own, each of which samples as the first choice of one engine does.
            let hasChoices = topology.handoff != .sglang
            let count = topology.prefill == 1 ? 30 : 20
            for index in 0..<count {
                let request = GeneratedRequest(using: &generator, isSingle: isSingle, hasChoices: hasChoices)
                let expected = NormalizedAnswer(try await harness.direct.post(request.path, request.body))
                let actual = NormalizedAnswer(try await harness.proxy.post(request.path, request.body))
                #expect(actual == expected, "request \(index): \(request)")
                if actual != expected { break }
            }
            // The answers above mean something only where KV really was handed over.
            let served = try await harness.servedByReason()
            let ledgers = try await harness.settledLedgers()
            if topology.handoff != .none { #expect(served["disaggregated", default: 0] >= count / 4, "\(served)") }
            let hits = ledgers.reduce(0) { $0 + $1.hits }
            if ![.none, .plain, .lmcacheLegacy, .lmcacheMP].contains(topology.handoff) {
                #expect(ledgers.contains { $0.transferred > 0 }, "\(ledgers)")
            }
            if topology.handoff != .none { #expect(hits >= count / 4, "\(ledgers)") }
            for ledger in ledgers { #expect(ledger.isClean && !ledger.dead, "\(ledger)") }
        }
    }
}
