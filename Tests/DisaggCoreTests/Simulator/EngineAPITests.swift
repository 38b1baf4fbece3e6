import Testing

@testable import DisaggCore

@Suite("Simulated engine API", .timeLimit(.minutes(3)))
struct EngineAPITests {
    private func engine<Result>(
        endProbability: Double = 0.02, maximumModelLength: Int = 32_768,
        _ body: (SimulatedEngine, RawHTTPClient) async throws -> Result
    ) async throws -> Result {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.endProbability = endProbability
        configuration.maximumModelLength = maximumModelLength
        return try await withEngine(configuration, body)
    }

    /// Text, finish reason and stop reason of the first choice.
    private func first(_ response: RawResponse) -> (text: String?, finish: String?, stop: String?) {
        let choice = response.json?["choices"]?[0]
        let text = choice?["text"]?.string ?? choice?["message"]?["content"]?.string
        return (text, choice?["finish_reason"]?.string, choice?["stop_reason"]?.rawString)
    }

    @Test("a missing or null max_tokens of a completion is 16, of a chat the rest of the context")
    func defaults() async throws {
        try await engine(maximumModelLength: 200) { _, client in
            for body in [#"{"prompt":"a","ignore_eos":true}"#, #"{"prompt":"a","ignore_eos":true,"max_tokens":null}"#] {
                let usage = try await client.post("/v1/completions", body).json?["usage"]
                #expect(usage?["completion_tokens"]?.int == 16)
            }
            let chat = try await client.post(
                "/v1/chat/completions", #"{"messages":[{"role":"user","content":"a"}],"ignore_eos":true}"#)
            #expect(chat.json?["usage"]?["total_tokens"]?.int == 200)
        }
    }

    @Test(
        "refuses what vLLM refuses",
        arguments: [
            #"{"prompt":"x","max_tokens":0}"#, #"{"prompt":"x","min_tokens":5,"max_tokens":2}"#,
            #"{"prompt":"x","stream_options":{"include_usage":true}}"#, #"{"prompt":"x","max_tokens":"3"}"#,
            #"{"prompt":""}"#, #"{"prompt":[]}"#, #"{}"#, #"{"prompt":[1,999999]}"#, #"{"prompt":"x","n":0}"#, "[]", "",
            #"{"prompt":"x","logprobs":50}"#, #"{"prompt":"\#(String(repeating: "日", count: 300))"}"#,
        ])
    func refusals(body: String) async throws {
        try await engine(maximumModelLength: 256) { _, client in
            let response = try await client.post("/v1/completions", body)
            #expect(response.status == 400)
            #expect(response.json?["error"]?["code"]?.int == 400)
        }
    }

    @Test("a stream carries the text, reasons and usage of the plain answer", arguments: 0..<24)
    func streamEqualsPlain(index: Int) async throws {
        let members = [
            #""max_tokens":40"#, #""max_tokens":40,"stop":["the","e "]"#, #""max_tokens":30,"n":3,"seed":\#(index)"#,
            #""max_tokens":30,"stop":"o","include_stop_str_in_output":true,"min_tokens":9"#,
            #""max_tokens":25,"logprobs":2,"ignore_eos":true"#, #""max_tokens":40,"stop_token_ids":[44,46,33,2001]"#,
        ][index % 6]
        let prompt = "prompt number \(index)"
        let chat = index % 4 >= 2
        let path = chat ? "/v1/chat/completions" : "/v1/completions"
        var start = chat ? #""messages":[{"role":"user","content":"\#(prompt)"}]"# : #""prompt":"\#(prompt)""#
        start += ","
        let body = chat ? members.replacing(#""logprobs":2"#, with: #""logprobs":true,"top_logprobs":2"#) : members
        try await engine { _, client in
            let plain = try await client.post(path, "{\(start)\(body)}")
            let stream = try await client.post(
                path, "{\(start)\(body),\"stream\":true,\"stream_options\":{\"include_usage\":true}}")
            #expect(plain.status == 200)
            let choices = plain.json?["choices"]?.elements ?? []
            #expect(!choices.isEmpty)
            for (number, choice) in choices.enumerated() {
                let pieces = stream.events.compactMap { $0["choices"]?[0] }.filter { $0["index"]?.int == number }
                let text = pieces.map { $0["text"]?.string ?? $0["delta"]?["content"]?.string ?? "" }.joined()
                #expect(text == choice["text"]?.string ?? choice["message"]?["content"]?.string)
                #expect(pieces.last?["finish_reason"]?.string == choice["finish_reason"]?.string)
                #expect(pieces.last?["stop_reason"]?.rawString == choice["stop_reason"]?.rawString)
            }
            let usage = stream.events.last?["usage"]
            #expect(usage?["completion_tokens"]?.int == plain.json?["usage"]?["completion_tokens"]?.int)
            #expect(usage?["prompt_tokens"]?.int == plain.json?["usage"]?["prompt_tokens"]?.int)
        }
    }

    @Test("continuing from prompt and first token gives the rest of the answer")
    func continuation() async throws {
        try await engine { _, client in
            let whole = try await client.post(
                "/v1/completions",
                #"{"prompt":[72,336,1029],"max_tokens":20,"ignore_eos":true,"return_token_ids":true}"#)
            let ids = whole.json?["choices"]?[0]?["token_ids"]?.integers ?? []
            #expect(ids.count == 20)
            #expect(whole.json?["choices"]?[0]?["prompt_token_ids"]?.integers == [72, 336, 1029])
            let rest = try await client.post(
                "/v1/completions",
                #"{"prompt":\#([72, 336, 1029] + ids.prefix(1)),"max_tokens":19,"ignore_eos":true,"return_token_ids":true}"#
            )
            #expect(rest.json?["choices"]?[0]?["token_ids"]?.integers == Array(ids.dropFirst()))
        }
    }

    @Test("lists of prompts, n and echo give one choice each, in order")
    func manyChoices() async throws {
        try await engine { _, client in
            let response = try await client.post(
                "/v1/completions", #"{"prompt":["one ",[72,336]],"n":2,"max_tokens":3,"echo":true,"ignore_eos":true}"#)
            let choices = response.json?["choices"]?.elements ?? []
            #expect(choices.map { $0["index"]?.int } == [0, 1, 2, 3])
            #expect(choices.prefix(2).allSatisfy { $0["text"]?.string?.hasPrefix("one ") == true })
            #expect(choices.suffix(2).allSatisfy { $0["text"]?.string?.hasPrefix("Hel") == true })
            #expect(choices[0]["text"]?.string != choices[1]["text"]?.string)
            let echo = try await client.post("/v1/completions", #"{"prompt":"abc","max_tokens":0,"echo":true}"#)
            #expect(first(echo).text == "abc")
            #expect(echo.json?["usage"]?["completion_tokens"]?.int == 0)
        }
    }

    @Test("a required tool is called, in one piece and streamed")
    func tools() async throws {
        let body =
            #""messages":[{"role":"user","content":"x"}],"max_tokens":12,"ignore_eos":true,"tool_choice":"required","#
            + #""tools":[{"type":"function","function":{"name":"look_up","parameters":{}}}]"#
        try await engine { _, client in
            let plain = try await client.post("/v1/chat/completions", "{\(body)}")
            let call = plain.json?["choices"]?[0]?["message"]?["tool_calls"]?[0]
            #expect(call?["function"]?["name"]?.string == "look_up")
            let arguments = call?["function"]?["arguments"]?.string ?? ""
            #expect(try JSONView(parsing: arguments)["value"]?.string?.isEmpty == false)
            let stream = try await client.post("/v1/chat/completions", "{\(body),\"stream\":true}")
            let joined = stream.events.compactMap {
                $0["choices"]?[0]?["delta"]?["tool_calls"]?[0]?["function"]?["arguments"]?.string
            }.joined()
            #expect(joined == arguments)
        }
    }

    @Test("template arguments and tools change the prompt")
    func template() async throws {
        try await engine { _, client in
            var seen: Set<String> = []
            for extra in [
                "", #","tools":[{"type":"function","function":{"name":"f"}}]"#, #","chat_template_kwargs":{"a":1}"#,
                #","add_generation_prompt":false"#,
            ] {
                let response = try await client.post(
                    "/tokenize", #"{"messages":[{"role":"user","content":"x"}]\#(extra)}"#)
                seen.insert(response.json?["tokens"]?.rawString ?? "")
            }
            #expect(seen.count == 4)
        }
    }

    @Test("X-Request-Id becomes the answer's id")
    func requestID() async throws {
        try await engine { _, client in
            let response = try await client.send(
                "POST", "/v1/completions", body: #"{"prompt":"x","max_tokens":1}"#, headers: ["X-Request-Id: abc-1"])
            #expect(response.json?["id"]?.string == "cmpl-abc-1")
        }
    }

    @Test("detokenize undoes tokenize, and metrics have vLLM's names")
    func otherPaths() async throws {
        try await engine { _, client in
            let text = #"é日😀 \"quote\" the end"#
            let tokens = try await client.post("/tokenize", #"{"prompt":"\#(text)"}"#).json?["tokens"]?.rawString ?? ""
            let back = try await client.post("/detokenize", #"{"tokens":\#(tokens)}"#)
            #expect(back.body == #"{"prompt":"\#(text)"}"#)
            let metrics = try await client.get("/metrics").body
            for name in ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prompt_tokens_total"] {
                #expect(metrics.contains("\nvllm:\(name){") || metrics.hasPrefix("vllm:\(name){"))
            }
        }
    }

    @Test("500 streams at once are all answered, and all alike")
    func manyStreams() async throws {
        try await engine { engine, client in
            let body = #"{"prompt":"same","max_tokens":30,"ignore_eos":true,"stream":true}"#
            let texts = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<500 {
                    group.addTask {
                        let response = try await client.post("/v1/completions", body)
                        #expect(response.isComplete && response.chunks.count == 31)
                        // Reading 15,000 events as JSON would take longer than making them: id and time have fixed lengths.
                        let head = (response.chunks.first ?? "").firstRange(of: "\"choices\"")
                        let length = (response.chunks.first ?? "").utf8.prefix { $0 != UInt8(ascii: "[") }.count
                        #expect(head != nil)
                        return response.chunks.map { String(decoding: $0.utf8.dropFirst(length), as: UTF8.self) }
                            .joined()
                    }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(texts.count == 1)
            #expect(try await engine.ledger().isClean)
            #expect(try await engine.load() == 0)
        }
    }
}
