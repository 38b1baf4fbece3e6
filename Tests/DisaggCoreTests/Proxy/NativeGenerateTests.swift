import NIOCore
import Testing

@testable import DisaggCore

/// SGLang's `/generate` through the proxy.
@Suite("SGLang's own endpoint", .timeLimit(.minutes(1)))
struct NativeGenerateTests {
    private static let bodies = [
        #"{"text":"Once upon a time","sampling_params":{"max_new_tokens":7,"temperature":0}}"#,
        #"{"input_ids":[72,336,1029],"sampling_params":{"max_new_tokens":5,"temperature":0,"ignore_eos":true}}"#,
        #"{"text":["one","two","three"],"sampling_params":{"max_new_tokens":4,"temperature":0}}"#,
        #"{"input_ids":[[72,336],[1029,77,5]],"sampling_params":[{"max_new_tokens":4},{"max_new_tokens":4}],"rid":["a","b"]}"#,
        #"{"text":["only one"],"sampling_params":{"max_new_tokens":3,"temperature":0}}"#,
        #"{"text":"default limit","sampling_params":{"temperature":0}}"#,
    ]

    @Test("one prompt or a batch, text or ids, whole or streamed: as one engine answers", arguments: [1, 2])
    func answers(dataParallel: Int) async throws {
        let topology = Topology(handoff: .sglang, prefill: 2, decode: 2, dataParallel: dataParallel)
        try await withProxy(topology) { harness in
            for body in Self.bodies {
                for more in ["", #","stream":true"#, #","return_logprob":true,"logprob_start_len":0"#] {
                    try await harness.expectRight("/generate", body.dropLast() + more + "}", "\(body) \(more)")
                }
            }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 3 * Self.bodies.count])
            try await harness.expectClean()
        }
    }

    @Test("prompt log-probabilities are the prefill engine's, in every event of a stream")
    func logprobs() async throws {
        try await withProxy(.init(handoff: .sglang)) { harness in
            let wanted =
                #""sampling_params":{"max_new_tokens":4,"temperature":0},"return_logprob":true,"logprob_start_len":1"#
            let whole = try await harness.proxy.post("/generate", #"{"input_ids":[72,336,1029],\#(wanted)}"#)
            let list = whole.json?["meta_info"]?["input_token_logprobs"]?.elements ?? []
            #expect(list.compactMap { $0[1]?.int } == [336, 1029], "\(whole.body)")
            let batch = #"{"input_ids":[[72,336],[1029,77,5]],"stream":true,\#(wanted)}"#
            let stream = try await harness.proxy.post("/generate", batch)
            #expect(stream.events.count == 8 && stream.body.hasSuffix("data: [DONE]\n\n"))
            for event in stream.events {
                let tokens = event["meta_info"]?["input_token_logprobs"]?.elements.compactMap { $0[1]?.int }
                #expect(tokens == (event["index"]?.int == 0 ? [336] : [77, 5]), "\(event.rawString)")
            }
            try await harness.expectClean()
        }
    }

    @Test("without a hand-off a decode engine serves it alone")
    func alone() async throws {
        try await withProxy(.init(handoff: .none, prefill: 0)) { harness in
            for body in Self.bodies {
                try await harness.expectRight("/generate", body)
                try await harness.expectRight("/generate", body.dropLast() + #","stream":true}"#)
            }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["no-handoff": 2 * Self.bodies.count])
        }
    }

    /// Requests for several samples: their members with the samples' number left out, and what one result is of.
    private static let several = [
        (#""text":"one""#, #"{"n":3,"max_new_tokens":4,"temperature":0}"#, 1),
        (#""text":["one","two"],"rid":["a","b"]"#, #"{"max_new_tokens":4,"n":3,"temperature":0.5,"seed":5}"#, 2),
        (#""input_ids":[[72,336],[1029,77]]"#, #"[{"n":3,"max_new_tokens":4},{"max_new_tokens":4,"n":3}]"#, 2),
        (#""text":["one"]"#, #"{"n":3,"max_new_tokens":4}"#, 1),
    ]

    @Test("several samples are a hand-off each, those of one prompt side by side", arguments: several)
    func samples(prompt: String, sampling: String, prompts: Int) async throws {
        try await withProxy(.init(handoff: .sglang, prefill: 2, decode: 2)) { harness in
            let members = #""return_logprob":true,"logprob_start_len":0"#
            let single = sampling.replacing(#""n":3"#, with: #""n":1"#)
            let alone = try await harness.direct.post(
                "/generate", #"{\#(prompt),"sampling_params":\#(single),\#(members)}"#)
            let json = try #require(alone.json)
            func tells(_ result: JSONView?) -> String {
                "\(result?["text"]?.string ?? "?") \(result?["meta_info"]?["input_token_logprobs"]?.rawString ?? "?")"
            }
            let expected = (json.kind == .array ? json.elements : [json]).flatMap {
                Array(repeating: tells($0), count: 3)
            }
            #expect(expected.count == 3 * prompts)
            let body = #"{\#(prompt),"sampling_params":\#(sampling),\#(members)"#
            let whole = try await harness.proxy.post("/generate", body + "}")
            #expect(whole.json?.elements.map(tells) == expected, "\(whole.body)")
            let stream = try await harness.proxy.post("/generate", body + #","stream":true}"#)
            var last: [Int: JSONView] = [:]
            for event in stream.events { last[event["index"]?.int ?? -1] = event }
            #expect(last.keys.sorted() == Array(expected.indices), "\(stream.body)")
            #expect(expected.indices.map { tells(last[$0]) } == expected)
            #expect(stream.body.split(separator: "\n\n").count { $0 == "data: [DONE]" } == 1)
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 2])
            try await harness.expectClean()
        }
    }

    @Test("chats and completions for several choices are a hand-off each, greedy and seeded ones, too")
    func choices() async throws {
        try await withProxy(.init(handoff: .sglang, prefill: 2, decode: 2)) { harness in
            for (path, prompt, prompts) in [
                ("/v1/completions", #""prompt":["a","b"]"#, 2),
                ("/v1/chat/completions", #""messages":[{"role":"user","content":"a"}]"#, 1),
            ] {
                for sampling in [#""temperature":0"#, #""seed":3"#, #""temperature":0.5"#] {
                    let body = #"{\#(prompt),"max_tokens":3,"n":2,\#(sampling)"#
                    let whole = try await harness.proxy.post(path, body + "}")
                    #expect(
                        whole.json?["choices"]?.elements.compactMap { $0["index"]?.int } == Array(0..<2 * prompts),
                        "\(whole.body)")
                    let stream = try await harness.proxy.post(path, body + #","stream":true}"#)
                    let choices = stream.events.flatMap { $0["choices"]?.elements ?? [] }
                    #expect(Set(choices.map { $0["index"]?.int }) == Set(0..<2 * prompts), "\(stream.body)")
                }
            }
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 12])
            try await harness.expectClean()
        }
    }

    @Test("samples that cannot be a hand-off each are refused, and other hand-offs do not have the endpoint")
    func refused() async throws {
        try await withProxy(.init(handoff: .sglang)) { harness in
            for sampling in [
                #"{"n":2,"beam_width":4}"#, #"{"n":257}"#, #"{"n":0}"#, #"{"n":"2"}"#, #"[{"n":2},{"n":1}]"#,
            ] {
                let answer = try await harness.proxy.post(
                    "/generate", #"{"text":["a","b"],"sampling_params":\#(sampling)}"#)
                #expect(answer.isOpenAIError(400), "\(sampling): \(answer.body)")
                #expect(answer.json?["error"]?["param"]?.string == "sampling_params.n", "\(sampling)")
            }
            try await harness.expectClean()
            #expect(try await harness.prefill[0].receivedRequests().total == 0)
        }
        try await withProxy(.init(handoff: .nixl)) { harness in
            let answer = try await harness.proxy.post("/generate", Self.bodies[0])
            #expect(answer.isOpenAIError(404))
        }
    }

    @Test("what a client says of rooms and ranks is replaced")
    func stripped() throws {
        var prefill = Backend(id: "prefill-0", role: .prefill, host: "10.0.0.1", port: 1)
        prefill.transfer.host = "10.0.0.1"
        let decode = Backend(id: "decode-0", role: .decode, host: "10.0.0.2", port: 2)
        var generator = SeededGenerator(seed: 1)
        var attempt = HandoffAttempt(
            pair: BackendPair(prefill: prefill, decode: decode), id: RequestID(loop: 0, using: &generator))
        attempt.prefillRank = 1
        attempt.decodeRank = 3
        let request = try GenerationRequest(
            endpoint: .native,
            body: ByteBuffer(
                string: #"{"text":"a","routed_dp_rank":7,"data_parallel_rank":8,"disagg_prefill_dp_rank":9,"#
                    + #""bootstrap_room":1,"bootstrap_host":"evil","bootstrap_pair_key":"x","decode_tp_size":4,"keep":1}"#
            ))
        func text(_ leg: LegRequest) -> JSONView? {
            try? JSONView(parsing: leg.body.map { String(buffer: $0) }.joined())
        }
        let legs = (
            text(SGLangProtocol().prefillLeg(request, attempt)),
            text(SGLangProtocol().decodeLeg(request, attempt, answer: nil))
        )
        for leg in [legs.0, legs.1] {
            #expect(leg?["bootstrap_host"]?.string == "10.0.0.1" && leg?["keep"]?.int == 1)
            #expect(leg?["bootstrap_room"]?.int != 1 && leg?["data_parallel_rank"] == nil)
            #expect(leg?["bootstrap_pair_key"] == nil && leg?["decode_tp_size"] == nil)
        }
        #expect(legs.0?["routed_dp_rank"]?.int == 1 && legs.0?["disagg_prefill_dp_rank"] == nil)
        #expect(legs.1?["routed_dp_rank"]?.int == 3 && legs.1?["disagg_prefill_dp_rank"]?.int == 1)
        #expect(legs.0?["bootstrap_room"]?.int == legs.1?["bootstrap_room"]?.int)
    }
}
