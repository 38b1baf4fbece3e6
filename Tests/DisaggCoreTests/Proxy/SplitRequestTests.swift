import Testing

@testable import DisaggCore

/// Lists of prompts and several choices: one hand-off each, one answer.
@Suite("Split requests", .timeLimit(.minutes(2)))
struct SplitRequestTests {
    private static let handoffs: [Topology] = [
        .init(handoff: .lmcache, prefill: 2, decode: 2), .init(handoff: .nixl, prefill: 2, decode: 2),
        .init(handoff: .lmcache, firstToken: .prefill),
    ]

    private static let list = #""prompt":["first prompt","a second one",[72,336,1029],"日本"]"#

    /// What a stream says, whatever the order in which its choices come: text and end of each, and the other events.
    private static func sorted(_ answer: RawResponse) -> [String] {
        var texts: [Int: String] = [:]
        var ends: [Int: String] = [:]
        var others: [String] = []
        for event in answer.events {
            if let choice = event["choices"]?[0], let index = choice["index"]?.int {
                texts[index, default: ""] += choice["text"]?.string ?? choice["delta"]?["content"]?.string ?? ""
                if let end = choice["finish_reason"]?.string { ends[index] = end }
            } else {
                others.append(NormalizedAnswer.canonical(event))
            }
        }
        return texts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value) \(ends[$0.key] ?? "?")" } + others
    }

    @Test("a list of prompts is answered as one engine answers it, each prompt handed off", arguments: handoffs)
    func lists(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for members in [#""max_tokens":7,"temperature":0"#, #""max_tokens":1"#, ""] {
                let tail = members.isEmpty ? "" : ",\(members)"
                try await harness.expectRight("/v1/completions", "{\(Self.list)\(tail)}", "\(members)")
                let stream = #"{\#(Self.list)\#(tail),"stream":true,"stream_options":{"include_usage":true}}"#
                let expected = try await harness.direct.post("/v1/completions", stream)
                let actual = try await harness.proxy.post("/v1/completions", stream)
                #expect(Self.sorted(actual) == Self.sorted(expected), "\(actual.body)")
                #expect(actual.isComplete && actual.body.hasSuffix("data: [DONE]\n\n"))
                #expect(actual.body.split(separator: "\n\n").count { $0 == "data: [DONE]" } == 1)
                #expect(Set(actual.events.compactMap { $0["id"]?.string }).count == 1)
                #expect(Set(actual.events.compactMap { $0["created"]?.int }).count == 1)
            }
            try await harness.settles()
            let served = try await harness.servedByReason()
            #expect(served == ["disaggregated": 6])
            #expect(try await harness.metric("disagg_request_parts_total") == "24")
            #expect(try await harness.metric("disagg_request_duration_seconds_count{path=\"pair\"}") == "6")
            try await harness.expectClean()
        }
    }

    @Test("choices come from a hand-off each and are numbered; the prompt is counted once")
    func choices() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            let question = #""messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"ignore_eos":true,"n":3"#
            let whole = try await harness.proxy.post("/v1/chat/completions", "{\(question)}")
            #expect(whole.json?["choices"]?.elements.compactMap { $0["index"]?.int } == [0, 1, 2], "\(whole.body)")
            let usage = whole.json?["usage"]
            #expect(usage?["prompt_tokens"]?.int == 18 && usage?["completion_tokens"]?.int == 12)
            #expect(usage?["total_tokens"]?.int == 30)
            let stream = try await harness.proxy.post(
                "/v1/chat/completions", #"{\#(question),"stream":true,"stream_options":{"include_usage":true}}"#)
            let roles = stream.events.filter { $0["choices"]?[0]?["delta"]?["role"]?.string == "assistant" }
            #expect(Set(roles.compactMap { $0["choices"]?[0]?["index"]?.int }) == [0, 1, 2])
            #expect(stream.events.last?["usage"]?["total_tokens"]?.int == 30, "\(stream.body)")
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 2])
            #expect(try await harness.metric("disagg_request_parts_total") == "6")
            try await harness.expectClean()
        }
    }

    @Test("choices of a hand-off whose decoder would hang with several are split", .timeLimit(.minutes(1)))
    func nccl() async throws {
        try await withProxy(.init(handoff: .p2pNCCL)) { harness in
            let answer = try await harness.proxy.post(
                "/v1/completions", #"{"prompt":"a","max_tokens":3,"temperature":0.5,"n":3,"ignore_eos":true}"#)
            #expect(answer.status == 200, "\(answer.body)")
            #expect(answer.json?["choices"]?.elements.compactMap { $0["index"]?.int } == [0, 1, 2])
            let ranked = try await harness.proxy.post("/v1/completions", #"{"prompt":"a","n":2,"best_of":3}"#)
            #expect(ranked.isOpenAIError(400))
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("what one engine must answer as a whole says why")
    func alone() async throws {
        try await withProxy(.init(handoff: .nixl)) { harness in
            for (members, reason) in [
                (#""n":2,"seed":3,"temperature":0.5"#, "seeded-choices"), (#""n":2,"best_of":3"#, "best-of"),
                (#""n":2,"temperature":0"#, "several-choices"), (#""n":2,"use_beam_search":true"#, "beam-search"),
            ] {
                let before = try await harness.servedByReason()[reason, default: 0]
                try await harness.expectRight("/v1/completions", #"{"prompt":"a","max_tokens":3,\#(members)}"#)
                try await harness.settles()
                #expect(try await harness.servedByReason()[reason] == before + 1, "\(members)")
            }
        }
    }

    @Test("a part that an engine rejects fails the whole with its error, and the others are released")
    func rejectedPart() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            for stream in ["", #","stream":true"#] {
                let answer = try await harness.proxy.post(
                    "/v1/completions",
                    #"{"prompt":["a good one","another",[999999999],"and more"],"max_tokens":30\#(stream)}"#)
                if answer.status == 400 {
                    #expect(answer.isOpenAIError(400), "\(answer.body)")
                } else {
                    // Others had begun: the error is the stream's last event.
                    #expect(answer.body.hasSuffix("data: [DONE]\n\n"), "\(answer.body)")
                    #expect(answer.events.last?["error"]?["code"]?.int == 400, "\(answer.body)")
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a decoder that dies mid-stream ends the whole stream well-formed")
    func diesMidStream() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 1, decode: 2)) { harness in
            try await harness.decode[0].inject(.with { $0.dieAfterTokens = 5 })
            let answer = try await harness.proxy.post(
                "/v1/completions", #"{\#(Self.list),"max_tokens":60,"ignore_eos":true,"stream":true}"#)
            #expect(answer.status == 200 && answer.isComplete && answer.body.hasSuffix("data: [DONE]\n\n"))
            #expect(answer.events.last?["error"]?["code"]?.int == 502, "\(answer.body)")
            try await harness.settles()
            try await harness.expectClean(except: [harness.decode[0]])
        }
    }

    @Test("a client that leaves takes all parts along")
    func clientLeaves() async throws {
        try await withProxy(.init(handoff: .nixl)) { harness in
            try await harness.prefill[0].inject(.with { $0.holdPrefills = true })
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(WireRequest.post("{\(Self.list)}"))
            try await eventually { try await harness.prefill[0].load() == 4 }
            #expect(try await harness.metric("disagg_requests_in_flight") == "1")
            await client.close()
            try await harness.settles()
            try await harness.prefill[0].inject(.with { $0.holdPrefills = false })
            try await harness.expectClean()
        }
    }

    @Test("a list longer than what runs at once is answered in order, whole and streamed")
    func longList() async throws {
        try await withProxy(.init(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            let prompts = (0..<50).map { "\"prompt number \($0)\"" }.joined(separator: ",")
            let body = #"{"prompt":[\#(prompts)],"max_tokens":3,"temperature":0}"#
            try await harness.expectRight("/v1/completions", body)
            let stream = String(body.dropLast()) + #","stream":true}"#
            let expected = try await harness.direct.post("/v1/completions", stream)
            let actual = try await harness.proxy.post("/v1/completions", stream)
            #expect(Self.sorted(actual) == Self.sorted(expected))
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}
