import NIOCore
import Testing

@testable import DisaggCore

/// The policies through the whole proxy, against simulated engines that are not alike.
@Suite("Balancing live", .timeLimit(.minutes(2)))
struct LiveBalancingTests {
    @Test("the pair cost learns which prefill engine is fast, and sends it more")
    func fastEngine() async throws {
        var engines = 0
        try await withProxy(
            Topology(handoff: .nixl, prefill: 2, decode: 1),
            .init(
                configure: {
                    // Decoders answer at once, the first prefill engine in a fifth of the second's time.
                    guard $0.role == .prefill else { return }
                    engines += 1
                    $0.speed = 1
                    $0.timing = .constant(milliseconds: engines == 1 ? 40 : 200)
                },
                settings: { for role in BackendRole.allCases { $0.routing[role].policy = .pairCost } })
        ) { harness in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<4 {
                    group.addTask {
                        for round in 0..<12 {
                            try await harness.expectRight(
                                "/v1/completions", ProxyHarness.completion("client \(client) in round \(round)"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            func picks(_ index: Int) async throws -> Int {
                let text = try await harness.metric(#"disagg_backend_picks_total{backend="prefill-\#(index)""#)
                return Int(text ?? "") ?? 0
            }
            let fast = try await picks(0)
            let slow = try await picks(1)
            #expect(fast + slow >= 48 && fast >= 2 * slow, "\(fast) and \(slow)")
            func firstToken(_ index: Int) async throws -> Double {
                let name = #"disagg_backend_first_token_seconds{backend="prefill-\#(index)""#
                return try #require(try await harness.metric(name).flatMap { Double($0) })
            }
            #expect(try await firstToken(0) >= 0.04)
            #expect(try await firstToken(1) >= 0.2)
            try await harness.expectClean()
        }
    }

    @Test(
        "a conversation stays where its prefix is", arguments: [PolicyKind.session, .prefixCache, .pairCost],
        [(HandoffKind.nixl, "prefill"), (.none, "decode")])
    func conversation(policy: PolicyKind, place: (handoff: HandoffKind, role: String)) async throws {
        try await withProxy(
            Topology(
                handoff: place.handoff, prefill: place.role == "prefill" ? 4 : 1, decode: place.role == "decode" ? 4 : 1
            ),
            .init(
                configure: { $0.maximumModelLength = 8000 },
                settings: { for role in BackendRole.allCases { $0.routing[role].policy = policy } })
        ) { harness in
            var history = #"{"role":"user","content":"\#(String(repeating: "Tell me of kings. ", count: 40))"}"#
            for turn in 0..<8 {
                let body =
                    #"{"model":"meta-llama/Llama-3.1-8B-Instruct","messages":[\#(history)],"max_tokens":4}"#
                let answer = try await harness.proxy.post("/v1/chat/completions", body)
                #expect(answer.status == 200, "\(answer)")
                history += #",{"role":"assistant","content":"\#(turn)"},{"role":"user","content":"And then?"}"#
            }
            var used = 0
            for index in 0..<4 {
                let text = try await harness.metric(
                    #"disagg_backend_picks_total{backend="\#(place.role)-\#(index)""#)
                if text != "0" { used += 1 }
            }
            #expect(used == 1)
        }
    }
}
