import Testing

@testable import DisaggCore

/// Who is judged, and what becomes of the request, when a decoder fails because its prefill engine did.
@Suite("Blame", .timeLimit(.minutes(1)))
struct BlameTests {
    /// Requests as clients send them; the stream of a chat begins with an event that has no token.
    static let requests: [(path: String, isStream: Bool)] = [
        ("/v1/completions", false), ("/v1/completions", true), ("/v1/chat/completions", true), ("/v1/messages", true),
        ("/v1/responses", true),
    ]

    private static func body(_ path: String, _ name: String, stream: Bool) -> String {
        let members = #""max_tokens":8,"temperature":0,"stream":\#(stream)"#
        switch path {
        case "/v1/completions": return ProxyHarness.completion(name, members)
        case "/v1/responses":
            return #"{"model":"meta-llama/Llama-3.1-8B-Instruct","input":"Tell me of \#(name)","max_output_tokens":8,"#
                + #""temperature":0,"stream":\#(stream)}"#
        default: return ProxyHarness.chat(name, members)
        }
    }

    @Test(
        "a decoder that cannot read from a dead prefill engine is asked again with another's KV, and not blamed",
        arguments: 0..<requests.count)
    func deadPrefill(_ number: Int) async throws {
        let request = Self.requests[number]
        // One decoder: it must serve the second attempt, too. It takes one request at a time, so that the next one's KV is
        // still at the prefill engine.
        let setup = HarnessSetup(configure: { $0.maximumRunning = 1 })
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 1), setup) { harness in
            let decoder = harness.decode[0]
            try await decoder.inject(.with { $0.holdDecodes = true })
            async let first = harness.proxy.post("/v1/completions", ProxyHarness.completion("the first"))
            try await eventually { try await decoder.load() == 1 }
            let body = Self.body(request.path, "the second", stream: request.isStream)
            async let second = harness.proxy.post(request.path, body)
            try await eventually { try await decoder.load() == 2 }
            // Round robin: the second one's is the second.
            let port = try await harness.prefill[1].kill()
            defer { withExtendedLifetime(port) {} }
            try await decoder.inject(.with { $0.holdDecodes = false })
            #expect(try await first.status == 200)
            let expected = NormalizedAnswer(try await harness.direct.post(request.path, body))
            #expect(NormalizedAnswer(try await second) == expected)
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-0""#) == "0")
            #expect(try await harness.metric("disagg_retries_total") == "1")
            try await harness.settles()
            try await harness.expectClean(except: [harness.prefill[1]])
        }
    }

    @Test("a decoder that fails while its prefill engine is well is blamed, and its error is the client's")
    func ownFault() async throws {
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 1)) { harness in
            try await harness.decode[0].inject(
                .with {
                    $0.refuse = 1
                    $0.refuseStatus = 500
                })
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a fault"))
            #expect(answer.isOpenAIError(500), "\(answer)")
            #expect(answer.body.contains("refused by an injected fault"))
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-0""#) == "1")
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="prefill-0""#) == "0")
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}
