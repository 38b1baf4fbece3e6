import Testing

@testable import DisaggCore

/// LMCache decoders with query ports.
@Suite("LMCache query ports", .timeLimit(.minutes(1)))
struct QueryPortTests {
    @Test("the prefill engine asks the decoder that the request goes to, one question a rank", arguments: [1, 2])
    func probes(ranks: Int) async throws {
        let setup = HarnessSetup(configure: {
            $0.isSynchronous = true
            $0.isBidirectional = true
        })
        try await withProxy(.init(handoff: .lmcache, prefill: 1, decode: 2, ranks: ranks), setup) { harness in
            for index in 0..<4 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("probe \(index)"))
            }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 4])
            for engine in harness.decode { #expect(try await engine.ledger().probes == 2 * ranks) }
            try await eventually { try await harness.prefill[0].ledger().probes == 4 * ranks }
            try await harness.expectClean()
        }
    }
}
