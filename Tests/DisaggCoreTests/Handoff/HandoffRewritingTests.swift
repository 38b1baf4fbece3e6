import NIOCore
import Testing

@testable import DisaggCore

/// What each leg's body is, byte for byte.
@Suite("Hand-off rewriting")
struct HandoffRewritingTests {
    private static let pair = BackendPair(
        prefill: Backend(id: "prefill-0", role: .prefill, host: "10.0.0.1", port: 8100, receiver: nil),
        decode: Backend(
            id: "decode-0", role: .decode, host: "10.0.0.2", port: 8200,
            receiver: PDReceiver(host: "10.0.0.2", initPorts: [7300, 7301], allocPorts: [7400, 7401])))

    private static let attempt: HandoffAttempt = {
        var generator = SeededGenerator(seed: 2)
        return HandoffAttempt(pair: pair, id: RequestID(loop: 0, using: &generator))
    }()

    private static func request(_ body: String, chat: Bool = false) throws -> GenerationRequest {
        try GenerationRequest(endpoint: chat ? .chatCompletions : .completions, body: ByteBuffer(string: body))
    }

    private static func text(_ leg: LegRequest?) -> String? { leg.map { $0.body.map { String(buffer: $0) }.joined() } }

    private static func answer(_ json: String, contextLength: Int? = 300) -> PrefillAnswer {
        PrefillAnswer(status: 200, body: ByteBuffer(string: json), contextLength: contextLength)
    }

    private static func prefill(_ handoff: any HandoffProtocol, _ body: String, chat: Bool = false) throws -> String {
        var generator = SeededGenerator(seed: 1)
        let leg = handoff.prefillLeg(
            try request(body, chat: chat), HandoffAttempt(pair: pair, id: RequestID(loop: 0, using: &generator)))
        #expect(leg.bodyBytes == text(leg)?.utf8.count)
        return text(leg) ?? ""
    }

    private static let strange =
        #""seed":9223372036854775807,"big":123456789012345678901234567890,"f":1.0,"e":1E400,"nul":null ,"x" : [ 1 ,2]"#

    @Test(
        "transfer parameters that are hidden in other members do not come to an engine",
        arguments: [
            (
                GenerationRequest.Endpoint.completions,
                #"{"prompt":"a","vllm_xargs":{"x":1,"kv_transfer_params":"evil"},"y":2}"#,
                #"{"prompt":"a","vllm_xargs":{"x":1},"y":2}"#
            ),
            (
                .chatCompletions, #"{"vllm_xargs":{"kv\u005ftransfer_params":["evil"]},"messages":[]}"#,
                #"{"vllm_xargs":{},"messages":[]}"#
            ),
            (
                .generate,
                #"{"token_ids":[1],"sampling_params":{"n":1,"extra_args":{"kv_transfer_params":{"remote_host":"evil"},"x":2}}}"#,
                #"{"token_ids":[1],"sampling_params":{"n":1,"extra_args":{"x":2}}}"#
            ),
        ])
    func hidden(endpoint: GenerationRequest.Endpoint, body: String, kept: String) throws {
        let request = try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body))
        #expect(String(buffer: request.body) == kept)
        // What hides nothing is not copied.
        let clean = ByteBuffer(string: kept)
        #expect(try GenerationRequest(endpoint: endpoint, body: clean).body == clean)
    }

    @Test("plain: one token in one piece; unknown fields, order, wide integers, nulls and white space untouched")
    func plain() throws {
        let body =
            #"{ "prompt":"a","max_tokens":5,\#(Self.strange),"stream":true,"stream_options":{"include_usage":true},"#
            + #""min_tokens":3,"n":2,"best_of":3,"logprobs":1,"echo":true,"user":"é\u0041"}"#
        #expect(
            try Self.prefill(PlainProtocol(), body)
                == #"{"prompt":"a","max_tokens":1,\#(Self.strange),"stream":false,"user":"é\u0041"}"#)
        let request = try Self.request(body)
        #expect(Self.text(PlainProtocol().decodeLeg(request, Self.attempt, answer: Self.answer("{}"))) == body)
    }

    @Test("both chat limits become 1; a limit that is not there is added at the end")
    func chatLimits() throws {
        #expect(
            try Self.prefill(
                PlainProtocol(), #"{"messages":[],"max_completion_tokens":9,"max_tokens":null,"top_logprobs":2}"#,
                chat: true)
                == #"{"messages":[],"max_completion_tokens":1,"max_tokens":1,"stream":false}"#)
        #expect(
            try Self.prefill(PlainProtocol(), #"{"prompt":"a"}"#) == #"{"prompt":"a","max_tokens":1,"stream":false}"#)
    }

    @Test(
        "what only a router may say is taken from both legs, however it is spelled or repeated",
        arguments: [
            #""kv_transfer_params":{"do_remote_prefill":true,"remote_host":"10.9.8.7"}"#,
            #""kv_transfer_params":null,"kv_transfer_params":{"remote_port":1}"#,
            #""kv\u005ftransfer_params":{"remote_host":"10.9.8.7"}"#,
            #""\u006bv_transfer_params":null,"kv_transfer_params":{"a":1},"k\u0076_transfer_params":{"b":2}"#,
            #""bootstrap_host":"10.9.8.7","bootstrap_port":1,"bootstrap_room":7"#,
            #""disaggregated_params":{"ctx_request_id":1}"#,
        ])
    func forged(members: String) throws {
        for body in [#"{"prompt":"a",\#(members)}"#, #"{\#(members),"prompt":"a"}"#] {
            let request = try Self.request(body)
            for handoff in [
                PlainProtocol(), NixlProtocol(), NoHandoffProtocol(),
                LMCacheProtocol(firstToken: .decode, expectedNotices: 1),
            ] as [any HandoffProtocol] {
                #expect(Self.text(handoff.decodeAloneLeg(request)) == #"{"prompt":"a"}"#)
                #expect(
                    Self.text(handoff.decodeLeg(request, Self.attempt, answer: Self.answer("{}"))) == #"{"prompt":"a"}"#
                )
                let prefill = try Self.prefill(handoff, body)
                #expect(!prefill.contains("10.9.8.7") && !prefill.contains("ctx_request_id"))
                let view = try JSONView(parsing: prefill)
                var names: [String] = []
                view.forEachMember { name, _ in names.append(name) }
                #expect(Set(names).count == names.count, "a name twice: \(prefill)")
                #expect(!names.contains { $0.hasPrefix("bootstrap_") || $0 == "disaggregated_params" })
            }
        }
    }

    @Test("LMCache, first token from decode: the receiver on P, the untouched request on D, one token to release")
    func lmcacheDecode() throws {
        let handoff = LMCacheProtocol(firstToken: .decode, expectedNotices: 2)
        let body = #"{"prompt":"a","max_tokens":5,"stream":true,"min_tokens":2,\#(Self.strange)}"#
        let prefill = try Self.prefill(handoff, body)
        let view = try JSONView(parsing: prefill)
        let id = try #require(view["kv_transfer_params"]?["disagg_spec"]?["req_id"]?.string)
        #expect(
            prefill
                == #"{"prompt":"a","max_tokens":1,"stream":false,\#(Self.strange),"kv_transfer_params":{"disagg_spec":"#
                + #"{"req_id":"\#(id)","receiver_host":"10.0.0.2","receiver_init_port":[7300,7301],"#
                + #""receiver_alloc_port":[7400,7401]}}}"#)
        #expect(RequestID.loop(of: id) == 0)
        let request = try Self.request(body)
        #expect(Self.text(handoff.decodeLeg(request, Self.attempt, answer: Self.answer("{}"))) == body)
        #expect(
            Self.text(handoff.releaseLeg(request, Self.attempt, answer: nil))
                == #"{"prompt":"a","max_tokens":1,"stream":false,\#(Self.strange)}"#)
    }

    @Test("LMCache: the client's cache tags go to both legs and the release, nothing else of its parameters does")
    func lmcacheTags() throws {
        let handoff = LMCacheProtocol(firstToken: .decode, expectedNotices: 1)
        let body =
            #"{"prompt":"a","kv_transfer_params":{"lmcache.tag.user":"b\"c","disagg_spec":null,"ret_first_tok":true,"lmcache.skip_save":true,"lmcache.tag.n":[1, 2]}}"#
        let tags = #""lmcache.tag.user":"b\"c","lmcache.tag.n":[1, 2]"#
        let prefill = try Self.prefill(handoff, body)
        #expect(prefill.hasSuffix("},\(tags)}" + #","max_tokens":1,"stream":false}"#), "\(prefill)")
        #expect(prefill.contains(#""req_id""#) && !prefill.contains("ret_first_tok"))
        let request = try Self.request(body)
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: Self.answer("{}")))
                == #"{"prompt":"a","kv_transfer_params":{\#(tags)}}"#)
        #expect(Self.text(handoff.releaseLeg(request, Self.attempt, answer: nil))?.contains(tags) == true)
    }

    @Test("LMCache, first token from prefill: D continues from ids, one token fewer")
    func lmcachePrefill() throws {
        let handoff = LMCacheProtocol(firstToken: .prefill, expectedNotices: 1)
        let body =
            #"{"prompt":"a","max_tokens":5,"min_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#
        let prefill = try Self.prefill(handoff, body)
        #expect(prefill.contains(#""kv_transfer_params":{"ret_first_tok":true,"disagg_spec":{"#))
        #expect(prefill.contains(#""return_token_ids":true"#) && prefill.contains(#""min_tokens":1"#))
        #expect(!prefill.contains("stream_options"))
        let request = try Self.request(body)
        let answer = Self.answer(
            #"{"choices":[{"text":"x","finish_reason":"length","prompt_token_ids":[7,8]}],"kv_transfer_params":{"first_tok":99}}"#
        )
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: answer))
                == #"{"prompt":[7,8,99],"max_tokens":4,"min_tokens":2,"stream":true,"stream_options":{"include_usage":true}}"#
        )
        #expect(
            Self.text(handoff.releaseLeg(request, Self.attempt, answer: answer))
                == #"{"prompt":[7,8,99],"max_tokens":1,"stream":false}"#)
        // Without ids the prompt itself frees its whole chunks.
        #expect(
            Self.text(handoff.releaseLeg(request, Self.attempt, answer: nil))?.contains(
                #""max_tokens":1,"stream":false"#) == true)
        let chat = try Self.request(
            #"{"messages":[{"role":"user","content":"q"}],"temperature":0.5,"max_completion_tokens":3,"logprobs":false,"chat_template_kwargs":{"a":1}}"#,
            chat: true)
        let chatAnswer = Self.answer(
            #"{"choices":[{"message":{}}],"prompt_token_ids":[1],"kv_transfer_params":{"first_tok":2}}"#)
        let leg = handoff.decodeLeg(chat, Self.attempt, answer: chatAnswer)
        #expect(leg.path == "/v1/completions")
        #expect(Self.text(leg) == #"{"temperature":0.5,"prompt":[1,2],"max_tokens":2}"#)
    }

    @Test("NIXL: P is asked to keep the blocks; its parameters reach D and the release as they came")
    func nixl() throws {
        let handoff = NixlProtocol()
        #expect(
            try Self.prefill(handoff, #"{"prompt":"a","n":1}"#)
                == #"{"prompt":"a","max_tokens":1,"stream":false,"kv_transfer_params":{"do_remote_decode":true,"#
                + #""do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"remote_host":null,"remote_port":null}}"#
        )
        let parameters =
            #"{ "remote_block_ids":[[1,2 ,3]],"remote_port":5600,"tp_size":1,"expiry":null,"wide":18446744073709551615}"#
        let answer = Self.answer(#"{"id":"x","kv_transfer_params":\#(parameters),"choices":[]}"#)
        let request = try Self.request(
            #"{"model":"m","prompt":"a","kv_transfer_params":{"remote_host":"10.9.8.7"},"n":1}"#)
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: answer))
                == #"{"model":"m","prompt":"a","kv_transfer_params":\#(parameters),"n":1}"#)
        #expect(
            Self.text(handoff.releaseLeg(request, Self.attempt, answer: answer))
                == #"{"model":"m","prompt":"x","max_tokens":1000000000,"kv_transfer_params":\#(parameters)}"#)
        for empty in [#"{"kv_transfer_params":null}"#, "{}", "not JSON", #"{"kv_transfer_params":7}"#] {
            #expect(handoff.releaseLeg(request, Self.attempt, answer: Self.answer(empty)) == nil)
            #expect(
                Self.text(handoff.decodeLeg(request, Self.attempt, answer: Self.answer(empty)))
                    == #"{"model":"m","prompt":"a","n":1}"#)
        }
    }

    @Test("request ids never repeat and tell nothing of the next")
    func requestIDs() {
        var generator = SystemRandomNumberGenerator()
        var seen: Set<String> = []
        var steps: Set<UInt64> = []
        var last: UInt64 = 0
        for _ in 0..<10_000 {
            let id = RequestID(loop: 3, using: &generator).description
            #expect(seen.insert(id).inserted && RequestID.loop(of: id) == 3)
            let value = UInt64(id.dropFirst(4).prefix(16), radix: 16) ?? 0
            steps.insert(value &- last)
            last = value
        }
        #expect(steps.count == 10_000)
    }
}

/// One answer made of two engines' parts.
@Suite("First token merge")
struct FirstTokenMergeTests {
    private static func prefillAnswer(
        text: String = " one", finish: String = "length", tokens: Int = 7, contextLength: Int? = 300, chat: Bool = false
    ) -> PrefillAnswer {
        let content = JSONString.encode(text)
        let choice =
            chat
            ? #"{"index":0,"message":{"role":"assistant","content":\#(content)},"finish_reason":"\#(finish)","stop_reason":null}"#
            : #"{"index":0,"text":\#(content),"finish_reason":"\#(finish)","stop_reason":null,"prompt_token_ids":[1,2],"token_ids":[9]}"#
        let ids = chat ? #","prompt_token_ids":[1,2]"# : ""
        return PrefillAnswer(
            status: 200,
            body: ByteBuffer(
                string: #"{"id":"cmpl-P","created":111,"model":"m","choices":[\#(choice)],"#
                    + #""usage":{"prompt_tokens":\#(tokens),"total_tokens":\#(tokens + 1),"completion_tokens":1}"#
                    + #"\#(ids),"kv_transfer_params":{"first_tok":9}}"#), contextLength: contextLength)
    }

    private static func request(_ members: String = "", chat: Bool = false) throws -> GenerationRequest {
        let input = chat ? #""messages":[]"# : #""prompt":"a""#
        return try GenerationRequest(
            endpoint: chat ? .chatCompletions : .completions,
            body: ByteBuffer(string: "{\(input)\(members.isEmpty ? "" : "," + members)}"))
    }

    private static func events(_ bytes: [UInt8]) -> [String] {
        String(decoding: bytes, as: UTF8.self).components(separatedBy: "\n\n").filter { !$0.isEmpty }
            .map { String($0.dropFirst(6)) }
    }

    private static func next(_ merge: FirstTokenMerge, _ event: String) -> [String] {
        var output = ByteBuffer()
        Array(event.utf8).withUnsafeBytes { merge.writeEvent($0, to: &output) }
        return events(Array(output.readableBytesView))
    }

    private static let decodeEvent =
        #"{"id":"cmpl-D","object":"text_completion","created":222,"model":"m","choices":[{"index":0,"text":" two","logprobs":null,"finish_reason":"stop","stop_reason":"x"}]}"#

    // On a machine with 32 cores the notifications of loops 16 to 25 went astray: every one of their requests waited for
    // the notification's deadline.
    @Test("an id names the loop it was made on, whatever the loop's number")
    func idsNameTheirLoop() {
        var random = SeededGenerator(seed: 9)
        for loop in 0...0xFFFF where RequestID.loop(of: RequestID(loop: loop, using: &random).description) != loop {
            Issue.record("loop \(loop)")
            return
        }
    }

    @Test("how a first token is taken", arguments: [false, true])
    func judge(chat: Bool) throws {
        func verdict(_ answer: PrefillAnswer, _ members: String = #""max_tokens":5"#) throws
            -> HandoffMachine.PrefillAnswer
        {
            FirstTokenMerge.judge(answer, for: try Self.request(members, chat: chat))
        }
        #expect(try verdict(Self.prefillAnswer(chat: chat)) == .ready)
        // The first token was the last: end of sequence, a limit of one, a full context.
        #expect(try verdict(Self.prefillAnswer(text: "", finish: "stop", chat: chat)) == .complete)
        #expect(try verdict(Self.prefillAnswer(chat: chat), #""max_tokens":1"#) == .complete)
        #expect(try verdict(Self.prefillAnswer(tokens: 299, chat: chat), #""max_tokens":1"#) == .complete)
        // Half a character, or nothing to show yet.
        #expect(try verdict(Self.prefillAnswer(text: "\u{FFFD}", chat: chat)) == .unusable)
        #expect(try verdict(Self.prefillAnswer(text: "", chat: chat)) == .unusable)
        // Too much for the context: the decoder's own error.
        #expect(try verdict(Self.prefillAnswer(tokens: 297, chat: chat), #""max_tokens":4"#) == .unusable)
        #expect(try verdict(Self.prefillAnswer(tokens: 296, chat: chat), #""max_tokens":4"#) == .ready)
        #expect(
            try verdict(Self.prefillAnswer(finish: "stop", chat: chat), #""max_tokens":9223372036854775807"#)
                == .unusable)
        for broken in ["", "{}", #"{"choices":[]}"#, "[1]", #"{"choices":[{"text":"a"}]}"#] {
            #expect(try verdict(PrefillAnswer(status: 200, body: ByteBuffer(string: broken))) == .unusable)
        }
    }

    @Test("a stream has one id and one created, and the whole text")
    func stream() throws {
        let merge = FirstTokenMerge(try Self.request(#""stream":true"#), answer: Self.prefillAnswer())
        let start = Self.events(merge.streamStart(complete: false))
        let next = Self.next(merge, Self.decodeEvent)
        let views = try (start + next).map { try JSONView(parsing: $0) }
        #expect(views.map { $0["id"]?.string } == ["cmpl-P", "cmpl-P"])
        #expect(views.map { $0["created"]?.int } == [111, 111])
        #expect(views.map { $0["choices"]?[0]?["text"]?.string } == [" one", " two"])
        #expect(views[0]["choices"]?[0]?["finish_reason"]?.isNull == true)
        #expect(views[1]["choices"]?[0]?["finish_reason"]?.string == "stop")
        #expect(Self.next(merge, "[DONE]") == ["[DONE]"])
        let error = #"{"error":{"message":"m","code":500}}"#
        #expect(Self.next(merge, error) == [error])
    }

    @Test("a chat's stream: a role, a content, then the decoder's texts as contents")
    func chatStream() throws {
        let merge = FirstTokenMerge(
            try Self.request(#""stream":true"#, chat: true), answer: Self.prefillAnswer(chat: true))
        let events = Self.events(merge.streamStart(complete: false)) + Self.next(merge, Self.decodeEvent)
        let views = try events.map { try JSONView(parsing: $0) }
        #expect(views.map { $0["object"]?.string } == Array(repeating: "chat.completion.chunk", count: 3))
        #expect(views[0]["choices"]?[0]?["delta"]?["role"]?.string == "assistant")
        #expect(views.dropFirst().map { $0["choices"]?[0]?["delta"]?["content"]?.string } == [" one", " two"])
        #expect(views.allSatisfy { $0["id"]?.string == "cmpl-P" && $0["choices"]?[0]?["text"] == nil })
        #expect(views[2]["choices"]?[0]?["finish_reason"]?.string == "stop")
    }

    @Test("usage counts the prompt as P did and the completion as the client got it", arguments: [false, true])
    func usage(chat: Bool) throws {
        let members = #""stream":true,"stream_options":{"include_usage":true}"#
        let merge = FirstTokenMerge(try Self.request(members, chat: chat), answer: Self.prefillAnswer(chat: chat))
        let event =
            #"{"id":"D","choices":[],"usage":{"prompt_tokens":8,"total_tokens":12,"completion_tokens":4,"extra":null}}"#
        let usage = try JSONView(parsing: Self.next(merge, event)[0])
        #expect(usage["choices"]?.elements.isEmpty == true && usage["id"]?.string == "cmpl-P")
        #expect(usage["usage"]?["prompt_tokens"]?.int == 7 && usage["usage"]?["completion_tokens"]?.int == 5)
        #expect(usage["usage"]?["total_tokens"]?.int == 12)
        // The first token was all.
        let all = Self.events(merge.streamStart(complete: true))
        #expect(all.last == "[DONE]")
        let last = try JSONView(parsing: all[all.count - 2])
        #expect(last["usage"]?["completion_tokens"]?.int == 1 && last["usage"]?["total_tokens"]?.int == 8)
        let without = FirstTokenMerge(
            try Self.request(#""stream":true"#, chat: chat), answer: Self.prefillAnswer(chat: chat))
        #expect(!String(decoding: without.streamStart(complete: true), as: UTF8.self).contains("usage"))
    }

    @Test("an answer in one piece", arguments: [false, true])
    func whole(chat: Bool) throws {
        let merge = FirstTokenMerge(try Self.request(chat: chat), answer: Self.prefillAnswer(chat: chat))
        let decode =
            #"{"id":"D","created":222,"choices":[{"index":0,"text":" two","finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":8,"completion_tokens":4,"total_tokens":12}}"#
        let view = try JSONView(parsing: try #require(merge.wholeAnswer(decode: Array(decode.utf8))))
        let choice = view["choices"]?[0]
        #expect((chat ? choice?["message"]?["content"]?.string : choice?["text"]?.string) == " one two")
        #expect(choice?["finish_reason"]?.string == "length")
        #expect(view["id"]?.string == "cmpl-P" && view["created"]?.int == 111)
        #expect(view["usage"]?["prompt_tokens"]?.int == 7 && view["usage"]?["completion_tokens"]?.int == 5)
        #expect(view["usage"]?["total_tokens"]?.int == 12)
        // What the client did not ask for is not shown.
        #expect(view["kv_transfer_params"]?.isNull == true)
        #expect(view["prompt_token_ids"]?.isNull ?? true && choice?["prompt_token_ids"]?.isNull ?? true)
        #expect(merge.wholeAnswer(decode: Array("{}".utf8)) == nil)
        #expect(merge.wholeAnswer(decode: Array("garbage".utf8)) == nil)
    }

    @Test(
        "requests whose first token cannot come from P",
        arguments: [
            #""n":2"#, #""best_of":2"#, #""logprobs":1"#, #""stop":"x""#, #""stop":["x"]"#, #""seed":1"#,
            #""echo":true"#,
            #""presence_penalty":0.1"#, #""frequency_penalty":-1"#, #""repetition_penalty":1.1"#, #""tools":[{}]"#,
            #""response_format":{"type":"json_object"}"#, #""structured_outputs":{"json":{}}"#,
            #""return_token_ids":true"#,
            #""stream_options":{"include_usage":true,"continuous_usage_stats":true}"#, #""suffix":"x""#,
        ])
    func alone(member: String) throws {
        #expect(FirstTokenMerge.reasonToDecodeAlone(try Self.request(member)) != nil)
    }

    @Test(
        "fields that say nothing do not matter",
        arguments: [
            "", #""n":1"#, #""logprobs":null"#, #""stop":[]"#, #""stop":null"#, #""echo":false"#,
            #""presence_penalty":0.0"#,
            #""tools":[]"#, #""response_format":{"type":"text"}"#, #""stream_options":{"include_usage":true}"#,
            #""repetition_penalty":1.0"#, #""temperature":0"#,
        ])
    func together(member: String) throws {
        #expect(FirstTokenMerge.reasonToDecodeAlone(try Self.request(member)) == nil)
    }
}
