import Testing

@testable import DisaggCore

/// Options of the hand-off, end to end.
@Suite("Resumed streams and fallbacks through the proxy")
struct ResumedStreamTests {
    private static func resuming(_ deployment: inout Deployment) { deployment.handoffOptions.resume = true }

    private static func withoutFallback(_ deployment: inout Deployment) {
        deployment.handoffOptions.fallback = .error
    }

    @Test(
        "a greedy stream whose decoder dies goes on at another: the client gets what one engine would have sent",
        arguments: [false, true])
    func resumes(isChat: Bool) async throws {
        let topology = Topology(handoff: .nixl).sized(1, 2)
        try await withProxy(topology, settings: Self.resuming) { harness in
            try await harness.decode[0].inject(.with { $0.dieAfterTokens = 5 })
            let members =
                #""max_tokens":24,"ignore_eos":true,"temperature":0,"stream":true,"stream_options":{"include_usage":true}"#
            // One of the two meets the decoder that dies.
            for name in ["an otter", "a heron"] {
                if isChat {
                    try await harness.expectRight("/v1/chat/completions", ProxyHarness.chat(name, members))
                } else {
                    try await harness.expectRight("/v1/completions", ProxyHarness.completion(name, members))
                }
            }
            #expect(try await harness.metric("disagg_streams_resumed_total") == "1")
            #expect(try await harness.metric("disagg_streams_broken_total") == "0")
            try await harness.expectClean(except: [harness.decode[0]])
        }
    }

    @Test("a recorded stream looks as a raw one does")
    func recorded() async throws {
        try await withProxy(Topology(handoff: .plain), settings: Self.resuming) { harness in
            var generator = SeededGenerator(seed: 20_261_125)
            for _ in 0..<20 {
                let request = GeneratedRequest(using: &generator)
                try await harness.expectRight(request.path, request.body, "\(request)")
            }
        }
    }

    @Test("without a fallback, a request whose prefill no engine can do is an error in the OpenAI shape")
    func noFallback() async throws {
        try await withProxy(Topology(handoff: .nixl), settings: Self.withoutFallback) { harness in
            let held = try await harness.prefill[0].kill()
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a finch"))
            #expect(answer.isOpenAIError(503), "\(answer.status) \(answer.body)")
            try await harness.settles()
            withExtendedLifetime(held) {}
        }
    }
}
