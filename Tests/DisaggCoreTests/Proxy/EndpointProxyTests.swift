import Testing

@testable import DisaggCore

/// `/v1/responses`, `/v1/messages` and `/inference/v1/generate` behind the proxy.
@Suite("Newer endpoints", .timeLimit(.minutes(2)))
struct EndpointProxyTests {
    private static let handoffs: [Topology] = [
        .init(handoff: .lmcache, prefill: 2, decode: 2), .init(handoff: .nixl, prefill: 2, decode: 2),
        .init(handoff: .plain),
    ]

    /// Requests that can be handed off, each with another prompt.
    private static func requests(_ index: Int, stream: Bool) -> [(path: String, body: String)] {
        let stream = #""stream":\#(stream),"temperature":0"#
        let text = "prompt \(index) of some length"
        return [
            ("/v1/responses", #"{"input":"\#(text)","max_output_tokens":9,"instructions":"be brief",\#(stream)}"#),
            (
                "/v1/messages",
                #"{"messages":[{"role":"user","content":"\#(text)"}],"system":"be brief","max_tokens":9,\#(stream)}"#
            ),
            (
                "/inference/v1/generate",
                #"{"token_ids":[72,336,1029,27\#(index)],"sampling_params":{"max_tokens":9,"min_tokens":2},\#(stream)}"#
            ),
        ]
    }

    @Test("answers are those of one engine, and were handed off", arguments: handoffs)
    func oracle(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            var count = 0
            for index in 0..<4 {
                for stream in [false, true] {
                    for (path, body) in Self.requests(index, stream: stream) {
                        try await harness.expectRight(path, body, "\(path) \(body)")
                        count += 1
                    }
                }
            }
            try await harness.settles()
            let served = try await harness.servedByReason()
            #expect(served["disaggregated"] == count, "\(served)")
            try await harness.expectClean()
        }
    }

    @Test("a thinking budget does not make the prefill engine refuse")
    func thinking() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(configure: { $0.maximumModelLength = 3000 })
        ) { harness in
            let answer = try await harness.proxy.post(
                "/v1/messages",
                #"{"messages":[{"role":"user","content":"think"}],"max_tokens":1100,"#
                    + #""thinking":{"type":"enabled","budget_tokens":1024}}"#)
            #expect(answer.status == 200, "\(answer.body)")
            try await harness.settles()
            #expect(try await harness.servedByReason()["disaggregated"] == 1)
            try await harness.expectClean()
        }
    }

    @Test("a first token from the prefill engine is for completions and chats; the decoder serves the others alone")
    func firstTokenFromPrefill() async throws {
        try await withProxy(.init(handoff: .lmcache, firstToken: .prefill)) { harness in
            for (path, body) in Self.requests(0, stream: true) { try await harness.expectRight(path, body) }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["first-token-endpoint": 3])
            try await harness.expectClean()
        }
    }

    @Test("an engine that dies mid-stream ends the stream with the endpoint's own error event")
    func diesMidStream() async throws {
        for (index, kind) in ["responses", "messages", "generate"].enumerated() {
            try await withProxy(.init(handoff: .plain), .init(configure: { $0.endProbability = 0 })) { harness in
                try await harness.decode[0].inject(.with { $0.dieAfterTokens = 4 })
                let (path, body) = Self.requests(0, stream: true)[index]
                let answer = try await harness.proxy.post(path, body)
                #expect(answer.status == 200 && answer.isComplete, "\(answer.body)")
                let events = answer.body.split(separator: "\n\n").map(String.init)
                let last = kind == "generate" ? events.dropLast().last : events.last
                let data = try #require(last?.firstRange(of: "data: ").map { last?[$0.upperBound...] ?? "" })
                let error = try JSONView(parsing: String(data))
                #expect(events.count > 3)
                switch kind {
                case "responses":
                    #expect(last?.hasPrefix("event: error\n") == true && error["type"]?.string == "error")
                    #expect(error["sequence_number"]?.int == events.count - 1, "\(answer.body)")
                case "messages":
                    #expect(last?.hasPrefix("event: error\n") == true && error["type"]?.string == "error")
                    #expect(error["error"]?["type"]?.string == "api_error")
                default: #expect(events.last == "data: [DONE]" && error["error"]?["code"]?.int == 502)
                }
            }
        }
    }

    @Test("without an engine the error has the endpoint's shape")
    func noEngine() async throws {
        try await withProxy(.init(handoff: .plain)) { harness in
            let ports = [try await harness.prefill[0].kill(), try await harness.decode[0].kill()]
            defer { withExtendedLifetime(ports) {} }
            let requests = Self.requests(0, stream: false)
            let messages = try await harness.proxy.post(requests[1].path, requests[1].body)
            #expect(messages.status == 503 && messages.json?["type"]?.string == "error", "\(messages.body)")
            #expect(messages.json?["error"]?["type"]?.string == "overloaded_error")
            let responses = try await harness.proxy.post(requests[0].path, requests[0].body)
            #expect(responses.isOpenAIError(503))
            let broken = try await harness.proxy.post("/v1/messages", "{")
            #expect(broken.status == 400 && broken.json?["error"]?["type"]?.string == "invalid_request_error")
        }
    }

    @Test("a stored response is found at the decoder that has it; what only tokenises goes anywhere")
    func storedResponses() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 1, decode: 3)) { harness in
            for index in 0..<4 {
                let made = try await harness.proxy.post(
                    "/v1/responses", #"{"input":"store \#(index)","max_output_tokens":3}"#)
                let id = try #require(made.json?["id"]?.string)
                #expect(try await harness.proxy.get("/v1/responses/\(id)").body == made.body)
                #expect(try await harness.proxy.post("/v1/responses/\(id)/cancel", "").status == 400)
            }
            #expect(try await harness.proxy.get("/v1/responses/resp_unknown").status == 404)
            #expect(try await harness.proxy.post("/v1/responses/resp_unknown/cancel", "").status == 404)
            let question = #"{"messages":[{"role":"user","content":"Hello"}]}"#
            #expect(try await harness.proxy.post("/v1/messages/count_tokens", question).body == #"{"input_tokens":18}"#)
            #expect(try await harness.proxy.get("/load").body == #"{"server_load":0}"#)
            #expect(try await harness.proxy.post("/ping", "").status == 200)
            // The engine's own word on what it does not serve.
            #expect(try await harness.proxy.post("/v1/embeddings", "{}").body == #"{"detail":"Not Found"}"#)
        }
    }

    @Test("a request that a decoder computes without a hand-off carries no transfer parameters of the client")
    func passedOn() async throws {
        try await withScriptedDecode(
            script: { _, _, _ in .send(ScriptedReply.json("{}")) },
            { server, harness in
                let body =
                    #"{"messages":[],"kv_transfer_params":{"remote_host":"evil"},"vllm_xargs":{"kv_transfer_params":1}}"#
                let form = ["Content-Type: multipart/form-data; boundary=x"]
                for path in ["/v1/chat/completions/batch", "/v1/embeddings", "/score"] {
                    #expect(try await harness.proxy.post(path, body).status == 200)
                    #expect(server.log.requests.last?.hasSuffix("\r\n\r\n{\"messages\":[],\"vllm_xargs\":{}}") == true)
                    // What a more lenient reader could take for JSON.
                    for unclear in [#"{"a":NaN,"kv_transfer_params":1}"#, "\u{FEFF}{}", "[]", #"{"a":1}}"#] {
                        #expect(try await harness.proxy.post(path, unclear).isOpenAIError(400), "\(unclear)")
                    }
                }
                let sent = server.log.requests.count
                let audio = try await harness.proxy.send(
                    "POST", "/v1/audio/transcriptions", body: "--x\r\n\r\nsound\r\n--x--", headers: form)
                #expect(audio.status == 200 && server.log.requests.count == sent + 1)
                #expect(server.log.requests.last?.hasSuffix("\r\n\r\n--x\r\n\r\nsound\r\n--x--") == true)
            })
    }

    @Test("parameters hidden in the sampling parameters do not reach the engines")
    func hidden() async throws {
        let body =
            #"{"token_ids":[72,336],"sampling_params":{"max_tokens":3,"extra_args":{"kv_transfer_params":"#
            + #"{"do_remote_prefill":true,"remote_host":"10.9.8.7","remote_port":1,"remote_engine_id":"x","#
            + #""remote_request_id":"y","remote_block_ids":[[1]]}}}}"#
        for handoff in [HandoffKind.lmcache, .nixl, .plain, .none] {
            try await withProxy(.init(handoff: handoff)) { harness in
                #expect(try await harness.proxy.post("/inference/v1/generate", body).status == 200)
                try await harness.settles()
                for engine in harness.prefill + harness.decode {
                    let bodies = try await engine.receivedRequests().bodies
                    #expect(!bodies.contains { $0.contains("10.9.8.7") }, "\(handoff)")
                }
                try await harness.expectClean()
            }
        }
    }

    @Test("the client sees the prefill engine's count of cached tokens, in whole answers and in streams")
    func cachedTokens() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(configure: { $0.cachedPromptTokens = $0.role == .prefill ? 7 : 0 })
        ) { harness in
            for stream in [false, true] {
                let options = stream ? #","stream":true,"stream_options":{"include_usage":true}"# : ""
                for (path, prompt) in [
                    ("/v1/completions", #""prompt":"cached \#(stream)""#),
                    ("/v1/chat/completions", #""messages":[{"role":"user","content":"cached \#(stream)"}]"#),
                ] {
                    let answer = try await harness.proxy.post(path, #"{\#(prompt),"max_tokens":5\#(options)}"#)
                    let usage = try #require((answer.json ?? answer.events.last)?["usage"], "\(answer.body)")
                    #expect(usage["prompt_tokens_details"]?["cached_tokens"]?.int == 7, "\(answer.body)")
                }
                let responses = try await harness.proxy.post(
                    "/v1/responses", #"{"input":"cached \#(stream)","max_output_tokens":5,"stream":\#(stream)}"#)
                #expect(responses.isComplete && responses.body.contains(#""input_tokens_details":{"cached_tokens":7,"#))
                let messages = try await harness.proxy.post(
                    "/v1/messages",
                    #"{"messages":[{"role":"user","content":"c \#(stream)"}],"max_tokens":5,"stream":\#(stream)}"#)
                #expect(messages.isComplete && messages.body.contains(#""cache_read_input_tokens":7"#))
            }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 8])
            try await harness.expectClean()
        }
    }
}
