import Testing

@testable import DisaggCore

/// Every defect of LMCache's example proxy, done right here.
@Suite("Defects of the seed's proxy", .serialized, .timeLimit(.minutes(3)))
struct SeedDefectTests {
    private static let modes: [Topology] = [.init(handoff: .lmcache), .init(handoff: .lmcache, firstToken: .prefill)]
    private static let both = ["/v1/completions", "/v1/chat/completions"]

    private static func body(_ path: String, _ name: String, _ members: String) -> String {
        path == "/v1/completions" ? ProxyHarness.completion(name, members) : ProxyHarness.chat(name, members)
    }

    /// Expects the answers of one engine for each set of members, on both endpoints.
    private func expectRight(_ topology: Topology, _ members: [String], count: Int = 3) async throws {
        try await withProxy(topology) { harness in
            for path in Self.both {
                for member in members {
                    for index in 0..<count {
                        try await harness.expectRight(
                            path, Self.body(path, "defect \(index)", member), "\(path) \(member)")
                    }
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("1: no max_tokens, a null one, and max_tokens 1", arguments: modes)
    func limits(topology: Topology) async throws {
        try await expectRight(
            topology,
            [#""temperature":0"#, #""max_tokens":null"#, #""max_tokens":1"#, #""max_tokens":1,"stream":true"#])
    }

    @Test("2: one piece where none asked for a stream; the media type of each", arguments: modes)
    func mediaTypes(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for path in Self.both {
                for (members, type) in [
                    (#""stream":false,"max_tokens":4"#, "application/json"), (#""max_tokens":4"#, "application/json"),
                    (#""stream":true,"max_tokens":4"#, "text/event-stream; charset=utf-8"),
                ] {
                    let answer = try await harness.proxy.post(path, Self.body(path, "a type", members))
                    #expect(answer.headers.first { $0.name == "content-type" }?.value == type)
                    #expect(answer.isComplete && answer.body.hasPrefix("data: ") == type.hasPrefix("text"))
                }
            }
        }
    }

    @Test("3: a first token that ends the text ends the answer", arguments: modes)
    func endsAtOnce(topology: Topology) async throws {
        try await withProxy(topology, .init(configure: { $0.endProbability = 1 })) { harness in
            for path in Self.both {
                for members in [
                    #""max_tokens":9"#, #""max_tokens":9,"stream":true,"stream_options":{"include_usage":true}"#,
                ] {
                    let answer = try await harness.proxy.post(path, Self.body(path, "an end", members))
                    let last = try #require(answer.json ?? answer.events.last)
                    let finish = (answer.json.map { [$0] } ?? answer.events).compactMap {
                        $0["choices"]?[0]?["finish_reason"]?.string
                    }
                    #expect(answer.isComplete && finish == ["stop"], "\(answer.body)")
                    #expect(last["usage"]?["completion_tokens"]?.int == 1, "\(answer.body)")
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("4: events cut anywhere by the network reach the client whole", arguments: modes)
    func cutEvents(topology: Topology) async throws {
        func chunk(_ text: some StringProtocol) -> String { String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n" }
        let events = (0..<6).map { index in
            #"data: {"id":"D","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" é\#(index)","#
                + #""logprobs":null,"finish_reason":\#(index == 5 ? "\"stop\"" : "null"),"stop_reason":null}]}"#
                + "\n\n"
        }
        let stream = Array((events.joined() + "data: [DONE]\n\n").unicodeScalars)
        var pieces = ["HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"]
        var generator = SeededGenerator(seed: 4)
        var index = 0
        while index < stream.count {
            let end = min(stream.count, index + Int.random(in: 1..<90, using: &generator))
            pieces.append(chunk(String(String.UnicodeScalarView(stream[index..<end]))))
            index = end
        }
        let engine = try await ScriptedEngine(pieces + ["0\r\n\r\n"], closes: false)
        // Also the request's own decoder is scripted, so only its bytes are looked at.
        try await withProxy(
            .init(handoff: .none),
            .init(settings: { $0.decode.urls = [Endpoint(host: "127.0.0.1", port: engine.port)] })
        ) { harness in
            let answer = try await harness.proxy.post("/v1/completions", #"{"prompt":"a","stream":true}"#)
            #expect(answer.isComplete && answer.body == events.joined() + "data: [DONE]\n\n")
        }
        await engine.shutdown()
    }

    @Test("5 and 6: the usage event comes, and adds up", arguments: modes)
    func usage(topology: Topology) async throws {
        try await expectRight(
            topology,
            [
                #""max_tokens":6,"stream":true,"stream_options":{"include_usage":true}"#,
                #""max_tokens":6,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}"#,
                #""max_tokens":6"#,
            ])
    }

    @Test("7: one id and one created in a stream", arguments: modes)
    func oneID(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for path in Self.both {
                let answer = try await harness.proxy.post(
                    path, Self.body(path, "an id", #""max_tokens":8,"stream":true,"ignore_eos":true"#))
                #expect(answer.events.count >= 3)
                #expect(Set(answer.events.compactMap { $0["id"]?.string }).count == 1)
                #expect(Set(answer.events.compactMap { $0["created"]?.int }).count == 1)
            }
        }
    }

    @Test("8 and 9: n, echo, logprobs, min_tokens, seeds, stops, tools, template arguments", arguments: modes)
    func options(topology: Topology) async throws {
        try await expectRight(
            topology,
            [
                #""n":2,"temperature":0.7,"seed":3,"max_tokens":5"#, #""max_tokens":5,"min_tokens":4"#,
                #""max_tokens":5,"seed":9,"temperature":0.8"#, #""max_tokens":20,"stop":["e","the"]"#,
                #""max_tokens":8,"stop":" ","stream":true"#, #""max_tokens":5,"ignore_eos":true,"temperature":0"#,
            ], count: 2)
        try await withProxy(topology) { harness in
            try await harness.expectRight(
                "/v1/completions", ProxyHarness.completion("echo", #""echo":true,"max_tokens":4,"logprobs":2"#))
            try await harness.expectRight(
                "/v1/completions", #"{"prompt":["one of many","two of many"],"max_tokens":4}"#)
            for members in [
                #""logprobs":true,"top_logprobs":2,"max_tokens":4"#,
                #""chat_template_kwargs":{"enable_thinking":false},"add_generation_prompt":true,"max_tokens":4"#,
                #""tools":[{"type":"function","function":{"name":"weather","parameters":{}}}],"tool_choice":"required","max_tokens":30"#,
            ] {
                try await harness.expectRight("/v1/chat/completions", ProxyHarness.chat("tools", members), "\(members)")
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("10: hand-off ids are unguessable and never repeated", arguments: modes)
    func ids(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for index in 0..<30 {
                _ = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("id \(index)"))
            }
            let ids = try await harness.prefill[0].receivedRequests().bodies.compactMap {
                try JSONView(parsing: $0)["kv_transfer_params"]?["disagg_spec"]?["req_id"]?.string
            }
            #expect(ids.count == 30 && Set(ids).count == 30 && ids.allSatisfy { $0.utf8.count == 36 })
            // Nothing of one id is in the next but the loop's number.
            #expect(Set(ids.map { $0.dropFirst(4).prefix(8) }).count == 30)
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("12: no key is made up; the client's own goes to both legs", arguments: modes)
    func authorization(topology: Topology) async throws {
        let engine = try await ScriptedEngine(
            ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"], closes: false, keepsBodies: true, keepsHeads: true)
        try await withProxy(
            .init(handoff: .plain),
            .init(settings: {
                $0.prefill.urls = [Endpoint(host: "127.0.0.1", port: engine.port)]
                $0.decode.urls = [Endpoint(host: "127.0.0.1", port: engine.port)]
            })
        ) { harness in
            _ = try await harness.proxy.post("/v1/completions", #"{"prompt":"a"}"#)
            // The proxy looks after its engines meanwhile.
            var posts: [String] { engine.bodies.filter { $0.hasPrefix("POST") } }
            #expect(posts.count == 2)
            #expect(!posts.contains { $0.lowercased().contains("authorization") })
            _ = try await harness.proxy.send(
                "POST", "/v1/completions", body: #"{"prompt":"a"}"#, headers: ["Authorization: Bearer sk-mine"])
            #expect(posts.count == 4)
            #expect(posts.suffix(2).allSatisfy { $0.contains("Bearer sk-mine") })
        }
        await engine.shutdown()
    }

    @Test("a prompt of half characters and one that fills the context", arguments: modes)
    func edges(topology: Topology) async throws {
        // A prompt that fills the context but for one token cannot be released at a decoder that counts the first token
        // into the prompt: prefill engines take one token less there, and the decoder serves such a prompt alone.
        let isShorter = topology.firstToken == .prefill
        try await withProxy(
            topology, .init(configure: { if isShorter, $0.role == .prefill { $0.maximumModelLength = 299 } })
        ) { harness in
            for length in [290, 297, 298, 299, 300, 301] {
                for members in [#""max_tokens":1"#, #""max_tokens":2"#, #""max_tokens":null"#] {
                    let prompt = (0..<length).map { String(100 + $0 % 90) }.joined(separator: ",")
                    try await harness.expectRight(
                        "/v1/completions", #"{"prompt":[\#(prompt)],\#(members),"temperature":0}"#,
                        "\(length) \(members)")
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}

/// What must never happen whatever clients send.
@Suite("Guards", .serialized, .timeLimit(.minutes(3)))
struct GuardTests {
    @Test(
        "no request without a receiver reaches an LMCache prefill engine",
        arguments: [FirstTokenSource.decode, .prefill])
    func neverPlain(firstToken: FirstTokenSource) async throws {
        let topology = Topology(handoff: .lmcache, firstToken: firstToken)
        try await withProxy(topology, .init(configure: { $0.loggedBodies = 2000 })) { harness in
            var generator = SeededGenerator(seed: 500)
            let garbage = [
                "", "{}", "[]", "null", #"{"prompt":}"#, #"{"prompt":7}"#, #"{"prompt":[]}"#,
                #"{"prompt":[[1,2],[3]]}"#,
                #"{"prompt":"a","max_tokens":"9"}"#, #"{"prompt":"a","max_tokens":1e3}"#, #"{"prompt":"a","n":0}"#,
                #"{"prompt":"a","kv_transfer_params":null}"#, #"{"prompt":"a","kv_transfer_params":{}}"#,
                #"{"prompt":"a","kv_transfer_params":{"disagg_spec":null}}"#,
                #"{"prompt":"a","k\u0076_transfer_params":null}"#,
                #"{"prompt":"a","kv_transfer_params":{"ret_first_tok":true}}"#, #"{"prompt":"a","stream":"yes"}"#,
                #"{"prompt":"a","prompt":null}"#, #"{"prompt":null,"prompt":"a"}"#, #"{"messages":[]}"#,
                #"{"messages":"a"}"#, #"{"prompt":"a","min_tokens":50,"max_tokens":2}"#, "\u{FEFF}{}",
                #"{"prompt":"\ud800"}"#,
                #"{"prompt":["a"]}"#, #"{"prompt":[1,"a"]}"#, #"{"prompt":[1.5,2]}"#, #"{"prompt":[-1]}"#,
                #"{"prompt":"a","use_beam_search":true}"#, #"{"prompt":"a","prompt_embeds":"x"}"#,
            ]
            let paths = [
                "/v1/completions", "/v1/chat/completions", "/v1/completions?x=1", "//v1/completions", "/tokenize",
            ]
            for batch in 0..<10 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<50 {
                        var request = GeneratedRequest(using: &generator)
                        if index % 3 == 0 {
                            request.path = paths.randomElement(using: &generator) ?? ""
                            request.body = garbage.randomElement(using: &generator) ?? ""
                        } else if index % 3 == 1, !request.body.isEmpty {
                            // One byte of a good request is another.
                            var bytes = Array(request.body.utf8)
                            bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                                Array(#"{}[]",:0n\"#.utf8).randomElement(using: &generator) ?? 0
                            request.body = String(decoding: bytes, as: UTF8.self)
                        }
                        let sent = request
                        group.addTask {
                            let answer = try await Self.answer(harness, sent)
                            #expect(answer.isComplete && answer.status > 0, "no answer in time: \(sent) \(answer)")
                            #expect(![500, 502, 503, 504].contains(answer.status), "\(sent) \(answer) \(batch)")
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await harness.settles()
            try await harness.expectClean()
            let received = try await harness.prefill[0].receivedRequests()
            #expect(received.total > 100 && received.bodies.count == received.total)
            for body in received.bodies {
                let spec = try JSONView(parsing: body)["kv_transfer_params"]?["disagg_spec"]
                #expect(spec?["receiver_alloc_port"]?.integers?.count == 1, "\(body)")
            }
        }
    }

    /// The answer, or what came of it in a minute.
    private static func answer(_ harness: ProxyHarness, _ request: GeneratedRequest) async throws -> RawResponse {
        let connection = try await RawConnection(port: harness.proxy.port)
        try await connection.send(RawHTTPClient.request("POST", request.path, body: request.body))
        let deadline = Task {
            try await Task.sleep(for: .seconds(60))
            await connection.close()
        }
        let answer = await connection.read()
        deadline.cancel()
        await connection.close()
        return answer
    }

    @Test(
        "round robin over two prefill engines is exact under 200 requests at once",
        arguments: Topology.everyHandoff.filter { $0.handoff != .none })
    func roundRobin(topology: Topology) async throws {
        try await withProxy(topology.sized(2, 1), .init(configure: { $0.maximumModelLength = 2000 })) { harness in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let answer = try await harness.proxy.post(
                            "/v1/completions", ProxyHarness.completion("turn \(index)", #""max_tokens":3"#))
                        #expect(answer.status == 200)
                    }
                }
                try await group.waitForAll()
            }
            for engine in harness.prefill { #expect(try await engine.receivedRequests().total == 100) }
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}
