import Testing

@testable import DisaggCore

/// What the proxy tells of its decisions, and what clients may decide.
@Suite("Decisions", .timeLimit(.minutes(1)))
struct DecisionTests {
    private static func decision(_ answer: RawResponse) -> String? {
        answer.headers.first { $0.name == "x-disagg-decision" }?.value
    }

    @Test("the decision field is off by default and complete where it is on, also on errors and streams")
    func field() async throws {
        let body = ProxyHarness.completion("decide")
        try await withProxy(.init(handoff: .nixl)) { harness in
            let answer = try await harness.proxy.post("/v1/completions", body)
            #expect(answer.status == 200 && Self.decision(answer) == nil)
        }
        try await withProxy(
            .init(handoff: .nixl), .init(settings: { $0.proxy.requests.showsDecision = true })
        ) { harness in
            let handedOff =
                #"protocol=nixl, disaggregated, reason=disaggregated, prefill="prefill-0", decode="decode-0", retries=0"#
            #expect(try await Self.decision(harness.proxy.post("/v1/completions", body)) == handedOff)
            let stream = try await harness.proxy.post(
                "/v1/chat/completions", ProxyHarness.chat("decide", #""stream":true,"max_tokens":3"#))
            #expect(Self.decision(stream) == handedOff)
            let alone = try await harness.proxy.post("/v1/completions", #"{"prompt":"a","max_tokens":0}"#)
            #expect(
                Self.decision(alone)
                    == #"protocol=nixl, disaggregated=?0, reason=invalid-limit, decode="decode-0", retries=0"#)
            let parts = try await harness.proxy.post("/v1/completions", #"{"prompt":["a","b"],"max_tokens":2}"#)
            #expect(Self.decision(parts) == handedOff + ", parts=2")
            let port = try await harness.decode[0].kill()
            defer { withExtendedLifetime(port) {} }
            let failed = try await harness.proxy.post("/v1/completions", body)
            #expect(failed.status == 503)
            #expect(
                Self.decision(failed)
                    == #"protocol=nixl, disaggregated=?0, reason=no-decode-backend, retries=0, failed=("decode-0")"#)
        }
    }

    @Test("a request that comes to no engine says why, in the field and in the metric")
    func refused() async throws {
        try await withProxy(
            .init(handoff: .sglang),
            .init(settings: {
                $0.proxy.requests.showsDecision = true
                $0.routing.decode.maximumInFlight = 1
                $0.admission.queue = 1
                $0.admission.queueTimeout = .milliseconds(300)
            })
        ) { harness in
            func expect(_ answer: RawResponse, _ status: Int, _ reason: String) {
                #expect(answer.status == status)
                #expect(
                    Self.decision(answer) == "protocol=sglang, disaggregated=?0, reason=\(reason), retries=0",
                    "\(answer.body)")
            }
            expect(try await harness.proxy.post("/v1/completions", "{"), 400, "invalid-request")
            expect(try await harness.proxy.post("/v1/responses", #"{"input":"a"}"#), 400, "unsupported-request")
            let wish = try await harness.proxy.send(
                "POST", "/v1/completions", body: ProxyHarness.completion("wish"),
                headers: ["x-prefiller-host-port: 10.9.8.7:80"])
            expect(wish, 403, "invalid-request")
            try await harness.decode[0].inject(.with { $0.holdDecodes = true })
            async let first = harness.proxy.post("/v1/completions", ProxyHarness.completion("first"))
            try await eventually { try await harness.decode[0].load() == 1 }
            async let second = harness.proxy.post("/v1/completions", ProxyHarness.completion("second"))
            try await eventually { try await harness.metric("disagg_requests_waiting") == "1" }
            expect(try await harness.proxy.post("/v1/completions", ProxyHarness.completion("third")), 429, "queue-full")
            expect(try await second, 429, "queue-timeout")
            try await harness.decode[0].inject(.with { $0.holdDecodes = false })
            #expect(try await first.status == 200)
            try await harness.settles()
            #expect(
                try await harness.servedByReason() == [
                    "invalid-request": 2, "unsupported-request": 1, "queue-full": 1, "queue-timeout": 1,
                    "disaggregated": 1,
                ])
        }
    }

    @Test("a split request whose parts fail says how")
    func failedParts() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(settings: { $0.proxy.requests.showsDecision = true })
        ) { harness in
            let port = try await harness.decode[0].kill()
            defer { withExtendedLifetime(port) {} }
            let answer = try await harness.proxy.post("/v1/completions", #"{"prompt":["a","b"],"max_tokens":2}"#)
            #expect(answer.status == 503)
            #expect(Self.decision(answer)?.contains("reason=no-decode-backend") == true, "\(answer.headers)")
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["no-decode-backend": 1])
        }
    }

    @Test("finished requests are counted by how they were served, retries and who failed")
    func labels() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("plain"))
            for engine in harness.prefill { try await engine.inject(.with { $0.refuse = 1 }) }
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("tried again"))
            try await harness.settles()
            let labels = #"disagg_requests_total{endpoint="/v1/completions",code="200",protocol="nixl","#
            #expect(
                try await harness.metric(
                    labels + #"disaggregated="true",reason="disaggregated",retries="0",failed="none"}"#) == "1")
            #expect(
                try await harness.metric(
                    labels + #"disaggregated="false",reason="prefill-failed",retries="2",failed="prefill"}"#) == "1")
        }
    }

    /// A prompt of some blocks of bytes and what follows it.
    private static func turn(_ conversation: String, _ more: String) -> String {
        let text = String(repeating: "\(conversation) and what came of it. ", count: 40)
        return #"{"prompt":"\#(text)\#(more)","max_tokens":4,"ignore_eos":true}"#
    }

    @Test("a prompt whose beginning its decoder has is not handed off again")
    func cached() async throws {
        var topology = Topology(handoff: .nixl, prefill: 1, decode: 2)
        for isSharing in [false, true] {
            topology.decode = isSharing ? 2 : 1
            try await withProxy(
                topology,
                .init(
                    configure: { $0.maximumModelLength = 8000 },
                    settings: {
                        $0.proxy.requests.showsDecision = true
                        $0.conditional.minimumUncachedTokens = 100
                        if isSharing { $0.routing.decode.policy = .prefixCache }
                    })
            ) { harness in
                var decoders: [String] = []
                for (conversation, more, reason) in [
                    ("an otter", "", "disaggregated"), ("a heron", "", "disaggregated"),
                    ("an otter", " Then?", "cached-on-decoder"), ("a heron", " And?", "cached-on-decoder"),
                    ("an otter", String(repeating: "a long addition ", count: 60), "disaggregated"),
                ] {
                    let answer = try await harness.proxy.post("/v1/completions", Self.turn(conversation, more))
                    let decision = try #require(Self.decision(answer))
                    #expect(answer.status == 200 && decision.contains("reason=\(reason)"), "\(decision)")
                    if conversation == "an otter", let place = decision.firstRange(of: "decode=") {
                        decoders.append(String(decision[place.upperBound...].prefix(10)))
                    }
                }
                #expect(Set(decoders).count == 1)
                try await harness.settles()
                try await harness.expectClean()
            }
        }
    }

    @Test("a decoder that was restarted has nothing, and a refused decode leaves nothing there")
    func forgotten() async throws {
        try await withProxy(
            .init(handoff: .nixl),
            .init(
                configure: { $0.maximumModelLength = 8000 },
                settings: { $0.conditional.minimumUncachedTokens = 100 })
        ) { harness in
            try await harness.decode[0].inject(.with { $0.refuse = 1 })
            let refused = try await harness.proxy.post("/v1/completions", Self.turn("an otter", ""))
            #expect(refused.status == 503)
            #expect(try await harness.proxy.post("/v1/completions", Self.turn("an otter", "")).status == 200)
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 2])
        }
    }

    @Test("a short prompt is not handed off where the deployment says so; a long one is")
    func conditional() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(settings: { $0.conditional.minimumPromptTokens = 8 })
        ) { harness in
            try await harness.expectRight("/v1/completions", #"{"prompt":[72,336,1029],"max_tokens":3}"#)
            try await harness.expectRight("/v1/completions", #"{"prompt":"tiny","max_tokens":3}"#)
            let ids = (10..<20).map(String.init).joined(separator: ",")
            try await harness.expectRight("/v1/completions", #"{"prompt":[\#(ids)],"max_tokens":3}"#)
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["short-prompt": 2, "disaggregated": 1])
            try await harness.expectClean()
        }
    }

    @Test("a busy prefill engine is skipped while the decoder is idle")
    func busy() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(settings: { $0.conditional.prefillQueue = 1 })
        ) { harness in
            try await harness.prefill[0].inject(.with { $0.holdPrefills = true })
            async let waiting = harness.proxy.post("/v1/completions", ProxyHarness.completion("waits"))
            try await eventually { try await harness.prefill[0].load() == 1 }
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("goes ahead"))
            try await harness.prefill[0].inject(.with { $0.holdPrefills = false })
            #expect(try await waiting.status == 200)
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["prefill-busy": 1, "disaggregated": 1])
        }
    }

    @Test("x-prefiller-host-port chooses among allowed engines, and nothing else is connected to")
    func prefillerHeader() async throws {
        try await withProxy(
            .init(handoff: .nixl, prefill: 3),
            .init(settings: {
                $0.proxy.requests.showsDecision = true
                $0.proxy.requests.allowedPrefillers = Array($0.prefill.urls.prefix(2))
            })
        ) { harness in
            let urls = harness.deployment.prefill.urls
            func post(_ headers: [String]) async throws -> RawResponse {
                try await harness.proxy.send(
                    "POST", "/v1/completions", body: ProxyHarness.completion("wish"),
                    headers: headers.map { "x-prefiller-host-port: \($0)" })
            }
            for _ in 0..<3 {
                #expect(try await Self.decision(post(["\(urls[1])"]))?.contains(#"prefill="prefill-1""#) == true)
                #expect(
                    try await Self.decision(post(["\(urls[1]) , \(urls[0])", "\(urls[0])"]))?
                        .contains(#"prefill="prefill-1""#) == true)
            }
            #expect(try await post(["\(urls[2])"]).isOpenAIError(403))
            #expect(try await post(["\(urls[0]),10.9.8.7:80"]).isOpenAIError(403))
            for bad in ["nonsense", "host", "a:b", "a:70000", "http://x:1", ":80", "[::1:80"] {
                #expect(try await post([bad]).isOpenAIError(400), "\(bad)")
            }
            #expect(try await post([""]).status == 200)
            try await harness.expectClean()
        }
    }

    @Test("the settings are read from the file, written back, and checked")
    func settings() throws {
        let yaml = """
            conditional: {minimumPromptTokens: 512, bytesPerToken: 3.5, minimumUncachedTokens: 64, prefillQueue: 8}
            proxy: {decisionHeader: true, allowPrefillers: ["10.0.0.1:8000", "[::1]:8001"]}
            """
        let deployment = try Deployment(yaml: yaml)
        #expect(deployment.conditional.minimumPromptTokens == 512 && deployment.conditional.bytesPerToken == 3.5)
        #expect(deployment.conditional.prefillQueue == 8 && deployment.conditional.isOn)
        #expect(deployment.proxy.requests.showsDecision)
        #expect(deployment.proxy.requests.allowedPrefillers.map(\.port) == [8000, 8001])
        #expect(try Deployment(yaml: DeploymentWriter.yaml(deployment)) == deployment)
        for bad in [
            "conditional: {minimumPromptTokens: -1}", "conditional: {bytesPerToken: 0}",
            "conditional: {prefillQueue: 0}",
            "conditional: {shortest: 3}", "proxy: {allowPrefillers: [\"a\"]}", "proxy: {decisionHeader: maybe}",
        ] {
            #expect(throws: DeploymentError.self) { try Deployment(yaml: bad) }
        }
    }
}
