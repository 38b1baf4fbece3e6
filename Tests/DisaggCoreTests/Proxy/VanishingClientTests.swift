import Testing

@testable import DisaggCore

/// Clients that leave at any moment harm no engine and leave no KV behind.
@Suite("Vanishing clients", .serialized, .timeLimit(.minutes(3)))
struct VanishingClientTests {
    /// When a client leaves.
    private enum Moment { case atOnce, after(Duration), afterBytes(Int), never }

    @Test(
        "a hundred clients that leave at random moments",
        arguments: Topology.everyHandoff.flatMap { [$0.sized(1, 1), $0.sized(2, 2)] })
    func leave(topology: Topology) async throws {
        try await withProxy(topology, .init(configure: { $0.speed = 40 })) { harness in
            var generator = SeededGenerator(seed: 17)
            for batch in 0..<5 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<20 {
                        let name = "client \(batch * 20 + index)"
                        let isChat = Bool.random(using: &generator)
                        let isStream = Int.random(in: 0..<3, using: &generator) > 0
                        let tokens = [1, 2, 20, 60].randomElement(using: &generator) ?? 2
                        let members =
                            #""max_tokens":\#(tokens),"temperature":0,"ignore_eos":true,"stream":\#(isStream)"#
                        let body =
                            isChat ? ProxyHarness.chat(name, members) : ProxyHarness.completion(name, members)
                        let path = isChat ? "/v1/chat/completions" : "/v1/completions"
                        let moment: Moment =
                            switch Int.random(in: 0..<8, using: &generator) {
                            case 0: .atOnce
                            case 1..<5: .after(.microseconds(Int.random(in: 0..<12_000, using: &generator)))
                            case 5, 6: .afterBytes(Int.random(in: 1..<3000, using: &generator))
                            default: .never
                            }
                        group.addTask { try await Self.visit(harness, path, body, moment) }
                    }
                    try await group.waitForAll()
                }
            }
            try await harness.settles()
            try await harness.expectClean()
            for index in 0..<4 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("a later one \(index)"))
                try await harness.expectRight("/v1/chat/completions", ProxyHarness.chat("a later one \(index)"))
            }
            try await harness.expectClean()
        }
    }

    private static func visit(_ harness: ProxyHarness, _ path: String, _ body: String, _ moment: Moment) async throws {
        let connection = try await RawConnection(port: harness.proxy.port)
        try await connection.send(RawHTTPClient.request("POST", path, body: body))
        switch moment {
        case .atOnce: break
        // Not to wait for something: the moment is what is random.
        case .after(let duration): try await Task.sleep(for: duration)
        case .afterBytes(let count): _ = await connection.read { $0.count >= count }
        case .never:
            let actual = NormalizedAnswer(await connection.read())
            let expected = NormalizedAnswer(try await harness.direct.post(path, body))
            #expect(actual == expected)
        }
        await connection.close()
    }

    @Test(
        "a client that leaves in the middle of each stage",
        arguments: Topology.everyHandoff.filter { $0.handoff != .none })
    func stages(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            let (prefill, decode) = (harness.prefill[0], harness.decode[0])
            for isStream in [false, true] {
                let members = #""max_tokens":40,"ignore_eos":true,"stream":\#(isStream)"#
                // While the prefill runs.
                try await prefill.inject(.with { $0.holdPrefills = true })
                let first = try await RawConnection(port: harness.proxy.port)
                try await first.send(
                    RawHTTPClient.request("POST", "/v1/completions", body: ProxyHarness.completion("one", members)))
                try await eventually { try await prefill.load() == 1 }
                await first.close()
                try await eventually { try await harness.metric("disagg_clients_gone_total") != "0" }
                try await prefill.inject(.with { $0.holdPrefills = false })
                try await harness.settles()
                try await harness.expectClean()
                // While the decode runs, before its first byte or in the middle of its stream.
                try await decode.inject(.with { $0.holdDecodes = true })
                let second = try await RawConnection(port: harness.proxy.port)
                try await second.send(
                    RawHTTPClient.request("POST", "/v1/completions", body: ProxyHarness.completion("two", members)))
                try await eventually { try await decode.load() == 1 }
                await second.close()
                try await decode.inject(.with { $0.holdDecodes = false })
                try await harness.settles()
                try await harness.expectClean()
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("three \(isStream)", members))
            }
        }
    }
}
