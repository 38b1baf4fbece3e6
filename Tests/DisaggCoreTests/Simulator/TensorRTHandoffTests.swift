import Testing

@testable import DisaggCore

@Suite("Simulated TensorRT-LLM hand-off", .timeLimit(.minutes(2)))
struct TensorRTHandoffTests {
    private static func context(_ id: Int, generationFirst: Bool = false) -> String {
        #""disaggregated_params":{"request_type":"context_only","disagg_request_id":\#(id),"#
            + #""schedule_style":\#(generationFirst ? 1 : 0)}"#
    }

    private static func generation(_ parameters: JSONView) -> String {
        let text = parameters.rawString.replacing("context_only", with: "generation_only")
        return #""disaggregated_params":\#(text)"#
    }

    @Test("context first: the generation server emits the context's token and goes on")
    func contextFirst() async throws {
        try await withPair(.trtllm) { pair in
            let context = try await pair.prefill.complete(EnginePair.body(Self.context(42)))
            let choice = try #require(context.json?["choices"]?[0])
            #expect(choice["finish_reason"]?.string == "not_finished")
            let parameters = try #require(choice["disaggregated_params"])
            #expect(parameters["ctx_request_id"]?.int == 42 && parameters["disagg_request_id"]?.int == 42)
            #expect(parameters["first_gen_tokens"]?.integers?.count == 1)
            #expect(context.json?["prompt_token_ids"]?[0]?.integers == EnginePair.prompt)
            #expect(try await pair.prefillEngine.ledger().held == EnginePair.blocks)
            let decode = try await pair.decode.complete(EnginePair.body(Self.generation(parameters)))
            #expect(decode.text == (try await pair.text()))
            try await pair.expectClean()
            #expect(try await pair.decodeEngine.ledger().hits == 1)
        }
    }

    @Test("chat: the context's token ids replace the messages")
    func chat() async throws {
        try await withPair(.trtllm) { pair in
            let messages = #""messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"temperature":0"#
            let path = "/v1/chat/completions"
            let context = try await pair.prefill.post(path, "{\(messages),\(Self.context(1))}")
            let ids = try #require(context.json?["prompt_token_ids"]?.integers)
            let parameters = try #require(context.json?["choices"]?[0]?["disaggregated_params"])
            let decode = try await pair.decode.post(
                path, #"{\#(messages),"prompt_token_ids":\#(ids),\#(Self.generation(parameters))}"#)
            let alone = try await pair.alone.post(path, "{\(messages)}")
            #expect(
                decode.json?["choices"]?[0]?["message"]?.rawString == alone.json?["choices"]?[0]?["message"]?.rawString)
            try await pair.expectClean()
        }
    }

    @Test("a request that ends in its context says so and keeps nothing", arguments: [true, false])
    func finished(stops: Bool) async throws {
        try await withPair(.trtllm) { pair in
            let first = try await pair.alone.complete(EnginePair.body(#""return_token_ids":true"#, tokens: 1))
            let token = try #require(first.json?["choices"]?[0]?["token_ids"]?.integers?.first)
            let body =
                stops
                ? EnginePair.body(Self.context(1), #""stop_token_ids":[\#(token)]"#)
                : EnginePair.body(Self.context(1), tokens: 1)
            let context = try await pair.prefill.complete(body)
            #expect(context.json?["choices"]?[0]?["finish_reason"]?.string == (stops ? "stop" : "length"))
            // Cut off by its limit the request still is the generation server's.
            #expect(try await pair.prefillEngine.ledger().held == (stops ? 0 : EnginePair.blocks))
        }
    }

    @Test("unknown KV, missing tokens and batches are flat errors")
    func errors() async throws {
        try await withPair(.trtllm, .init { $0.timers.tensorRT = .milliseconds(50) }) { pair in
            let context = try await pair.prefill.complete(EnginePair.body(Self.context(1)))
            let parameters = try #require(context.json?["choices"]?[0]?["disaggregated_params"])
            // The context's time is over.
            try await pair.settle()
            #expect(try await pair.prefillEngine.ledger().expired == 1)
            let late = try await pair.decode.complete(EnginePair.body(Self.generation(parameters)))
            let without = try await pair.decode.complete(
                EnginePair.body(#""disaggregated_params":{"request_type":"generation_only","ctx_request_id":1}"#))
            let batch = try await pair.prefill.complete(
                #"{"prompt":["a","b"],"max_tokens":1,\#(Self.context(2))}"#)
            #expect(late.status == 500 && without.status == 400 && batch.status == 400)
            for answer in [late, without, batch] {
                #expect(answer.json?["object"]?.string == "error" && answer.json?["code"]?.int == answer.status)
            }
            #expect(try await pair.ledgers().allSatisfy { !$0.dead })
        }
    }

    @Test(
        "generation first: the context answers when its KV is taken, whichever request is first",
        arguments: [true, false])
    func generationFirst(decodeFirst: Bool) async throws {
        try await withPair(.trtllm) { pair in
            let info = try await pair.prefill.get("/server_info")
            let endpoint = try #require(info.json?["disaggregated_params"]?["ctx_info_endpoint"]?.rawString)
            let generation = EnginePair.body(
                #""disaggregated_params":{"request_type":"generation_only","ctx_request_id":7,"disagg_request_id":7,"#
                    + #""schedule_style":1,"ctx_info_endpoint":\#(endpoint)}"#)
            let order =
                decodeFirst
                ? [(pair.decode, generation), (pair.prefill, EnginePair.body(Self.context(7, generationFirst: true)))]
                : [(pair.prefill, EnginePair.body(Self.context(7, generationFirst: true))), (pair.decode, generation)]
            var connections: [RawConnection] = []
            for (client, body) in order {
                let connection = try await RawConnection(port: client.port)
                try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
                connections.append(connection)
            }
            var texts: [String?] = []
            for connection in connections {
                texts.append(await connection.read().text)
                await connection.close()
            }
            #expect(texts[decodeFirst ? 0 : 1] == (try await pair.text()))
            try await pair.expectClean()
        }
    }

    @Test("generation first, sent one after the other: the context never answers until its limit")
    func deadlock() async throws {
        try await withPair(.trtllm, .init { $0.timers.tensorRT = .milliseconds(100) }) { pair in
            let context = try await pair.prefill.complete(
                EnginePair.body(Self.context(7, generationFirst: true)))
            #expect(context.status == 500)
            try await pair.settle()
            #expect(try await pair.prefillEngine.ledger().expired == 1)
        }
    }
}
