import Testing

@testable import DisaggCore

/// The property that defines the proxy: prefill/decode disaggregation must not be seen in an answer.
@Suite("Oracle")
struct OracleTests {
    @Test(
        "an answer through the proxy equals the answer of one engine without a hand-off",
        arguments: Topology.everyHandoff.flatMap { [$0.sized(1, 1), $0.sized(2, 2)] })
    func answersAreEqual(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            var generator = SeededGenerator(seed: 20_261_122)
            for index in 0..<60 {
                let request = GeneratedRequest(using: &generator)
                let expected = NormalizedAnswer(try await harness.direct.post(request.path, request.body))
                let actual = NormalizedAnswer(try await harness.proxy.post(request.path, request.body))
                #expect(actual == expected, "request \(index): \(request)")
                if actual != expected { break }
            }
            // The answers above mean something only where KV really was handed over.
            let served = try await harness.servedByReason()
            let ledgers = try await harness.settledLedgers()
            if topology.handoff != .none { #expect(served["disaggregated", default: 0] >= 10, "\(served)") }
            if topology.handoff == .lmcache || topology.handoff == .nixl {
                #expect(ledgers.contains { $0.transferred > 0 } && ledgers.contains { $0.hits > 0 }, "\(ledgers)")
            }
            for ledger in ledgers {
                #expect(ledger.held == 0 && ledger.leaked == 0 && ledger.doubleFreed == 0, "\(ledger)")
                #expect(ledger.protocolViolations == 0, "\(ledger)")
            }
        }
    }
}
