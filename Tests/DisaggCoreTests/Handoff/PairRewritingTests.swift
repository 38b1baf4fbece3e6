import NIOCore
import Testing

@testable import DisaggCore

/// What the legs of the newer hand-offs are, byte for byte.
@Suite("Hand-off rewriting, pairs")
struct PairRewritingTests {
    private static let pair: BackendPair = {
        var prefill = Backend(id: "prefill-0", role: .prefill, host: "10.0.0.1", port: 8100)
        prefill.transfer.tensorParallel = 2
        prefill.transfer.pipelineParallel = 3
        prefill.transfer.dataParallel = 4
        return BackendPair(
            prefill: prefill, decode: Backend(id: "decode-0", role: .decode, host: "10.0.0.2", port: 8200))
    }()
    private static let attempt: HandoffAttempt = {
        var generator = SeededGenerator(seed: 7)
        var facts = EngineFacts()
        facts.engineIDs = [0: "engine-a", 3: "engine-d"]
        facts.contextEndpoint = #"["tcp://10.0.0.1:9999"]"#
        return HandoffAttempt(
            pair: pair, id: RequestID(loop: 0, using: &generator), prefillRank: 3, decodeRank: 1, facts: facts)
    }()
    private static let id = attempt.id.description
    private static let digits = String(id.dropFirst(4))

    private static func request(_ body: String, chat: Bool = false) throws -> GenerationRequest {
        try GenerationRequest(endpoint: chat ? .chatCompletions : .completions, body: ByteBuffer(string: body))
    }

    private static func text(_ leg: LegRequest?) -> String? { leg.map { $0.body.map { String(buffer: $0) }.joined() } }

    private static let body =
        #"{"model":"m","prompt":"a","max_tokens":5,"stream":true,"stop_token_ids":[1],"big":18446744073709551616,"#
        + #""kv_transfer_params":{"remote_host":"evil"},"bootstrap_room":1,"disaggregated_params":{"x":1},"min_tokens":2}"#
    /// The body as a decoder gets it, up to what the protocol adds.
    private static let decodeStart =
        #"{"model":"m","prompt":"a","max_tokens":5,"stream":true,"stop_token_ids":[1],"big":18446744073709551616,"#

    @Test("NIXL push: P's place on D, one request id on both, the rank in a header, nothing to release")
    func nixlPush() throws {
        let handoff = NixlPushProtocol()
        let request = try Self.request(Self.body)
        let prefill = handoff.prefillLeg(request, Self.attempt)
        #expect(
            Self.text(prefill)
                == #"{"model":"m","prompt":"a","max_tokens":1,"stream":false,"stop_token_ids":[1],"big":18446744073709551616,"#
                + #""kv_transfer_params":{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":"xfer-\#(Self.id)"}}"#
        )
        let decode = handoff.decodeLeg(request, Self.attempt, answer: nil)
        #expect(
            Self.text(decode)
                == Self.decodeStart
                + #""kv_transfer_params":{"do_remote_prefill":true,"do_remote_decode":false,"remote_engine_id":"prefill-0_dp3","#
                + #""remote_host":"10.0.0.1","remote_port":5603,"tp_size":2,"pp_size":3,"transfer_id":"xfer-\#(Self.id)"},"min_tokens":2}"#
        )
        #expect(prefill.requestID == Self.id && decode.requestID == Self.id && prefill.path == decode.path)
        #expect(prefill.dataParallelRank == 3 && decode.dataParallelRank == 1)
        #expect(handoff.releaseLeg(request, Self.attempt, answer: nil) == nil)
        var single = Self.attempt
        single.prefillRank = nil
        #expect(
            Self.text(handoff.decodeLeg(request, single, answer: nil))?.contains(
                #""remote_engine_id":"prefill-0","remote_host":"10.0.0.1","remote_port":5600"#) == true)
    }

    @Test(
        "Mooncake: P must end at its limit; D gets the bootstrap address and the rank's engine id; so does the release")
    func mooncake() throws {
        let handoff = MooncakeProtocol()
        let request = try Self.request(Self.body)
        let prefill = handoff.prefillLeg(request, Self.attempt)
        #expect(
            Self.text(prefill)
                == #"{"model":"m","prompt":"a","max_tokens":1,"stream":false,"big":18446744073709551616,"#
                + #""kv_transfer_params":{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":"xfer-\#(Self.id)"},"#
                + #""ignore_eos":true}"#)
        let parameters =
            #"{"do_remote_decode":false,"do_remote_prefill":true,"remote_bootstrap_addr":"http://10.0.0.1:8998","#
            + #""remote_engine_id":"engine-d","transfer_id":"xfer-\#(Self.id)"}"#
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: nil))
                == Self.decodeStart + #""kv_transfer_params":\#(parameters),"min_tokens":2}"#)
        #expect(
            Self.text(handoff.releaseLeg(request, Self.attempt, answer: nil))
                == #"{"model":"m","prompt":"x","max_tokens":1000000000,"kv_transfer_params":\#(parameters)}"#)
        #expect(prefill.dataParallelRank == 3 && prefill.requestID == nil)
        let ignoring = try Self.request(#"{"prompt":"a","ignore_eos":false}"#)
        #expect(Self.text(handoff.prefillLeg(ignoring, Self.attempt))?.contains(#""ignore_eos":true"#) == true)
    }

    @Test("MoRIIO, writing: both addresses in the id, P's place and rank on D")
    func moriioWrite() throws {
        let handoff = MoRIIOProtocol(mode: .write)
        let request = try Self.request(#"{"prompt":"a"}"#)
        let prefill = handoff.prefillLeg(request, Self.attempt)
        let address =
            "___prefill_addr_host:10.0.0.1,handshake:6301,notify:61005___decode_addr_"
            + "host:10.0.0.2,handshake:6301,notify:61005_\(Self.digits)"
        #expect(prefill.requestID == address && Self.digits.utf8.count == 32)
        #expect(
            Self.text(prefill)
                == #"{"prompt":"a","max_tokens":1,"stream":false,"ignore_eos":true,"kv_transfer_params":{"do_remote_decode":true,"#
                + #""do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,"transfer_id":"tx-\#(Self.id)","#
                + #""remote_dp_size":1,"remote_tp_size":1}}"#)
        let decode = handoff.decodeLeg(request, Self.attempt, answer: nil)
        let parameters =
            #"{"do_remote_prefill":true,"do_remote_decode":false,"remote_engine_id":"10.0.0.1:6301","remote_block_ids":null,"#
            + #""transfer_id":"tx-\#(Self.id)","remote_host":"10.0.0.1","remote_handshake_port":6301,"remote_notify_port":61005,"#
            + #""remote_dp_size":4,"remote_tp_size":2,"remote_dp_rank":3,"remote_dp_rank_override":true}"#
        #expect(Self.text(decode) == #"{"prompt":"a","kv_transfer_params":\#(parameters)}"#)
        #expect(decode.requestID == address && decode.dataParallelRank == 1)
        let release = handoff.releaseLeg(request, Self.attempt, answer: nil)
        #expect(Self.text(release) == #"{"prompt":"x","max_tokens":1000000000,"kv_transfer_params":\#(parameters)}"#)
        #expect(release?.requestID == address)
    }

    @Test("MoRIIO, reading: P's parameters verbatim; what an engine registered holds over the deployment")
    func moriioRead() throws {
        let handoff = MoRIIOProtocol(mode: .read)
        #expect(handoff.rules.dispatch == .sequential)
        let request = try Self.request(#"{"prompt":"a"}"#)
        let parameters = #"{ "remote_block_ids":[[1, 2]],"remote_dp_rank":3,"x":null}"#
        let answer = PrefillAnswer(status: 200, body: ByteBuffer(string: #"{"kv_transfer_params":\#(parameters)}"#))
        var attempt = Self.attempt
        attempt.pair.prefill.transfer.register("host:172.16.0.9,handshake:7001,notify:7002")
        #expect(
            Self.text(handoff.decodeLeg(request, attempt, answer: answer))
                == #"{"prompt":"a","kv_transfer_params":\#(parameters)}"#)
        #expect(
            handoff.prefillLeg(request, attempt).requestID?.hasPrefix(
                "___prefill_addr_host:172.16.0.9,handshake:7001,notify:7002___decode_addr_host:10.0.0.2,") == true)
        let transfer = attempt.pair.prefill.transfer
        #expect(transfer.host == "172.16.0.9" && transfer.handshakePort == 7001 && transfer.notifyPort == 7002)
        let empty = PrefillAnswer(status: 200, body: ByteBuffer(string: "{}"))
        #expect(Self.text(handoff.decodeLeg(request, attempt, answer: empty)) == #"{"prompt":"a"}"#)
        #expect(handoff.releaseLeg(request, attempt, answer: empty) == nil)
    }

    @Test("P2pNccl: one id with both addresses; the throw-away decode has it too")
    func p2pNCCL() throws {
        let handoff = P2pNCCLProtocol()
        let request = try Self.request(Self.body)
        let id = "___prefill_addr_10.0.0.1:14579___decode_addr_10.0.0.2:14579_\(Self.digits)"
        let prefill = handoff.prefillLeg(request, Self.attempt)
        #expect(
            Self.text(prefill)
                == #"{"model":"m","prompt":"a","max_tokens":1,"stream":false,"stop_token_ids":[1],"big":18446744073709551616}"#
        )
        let decode = handoff.decodeLeg(request, Self.attempt, answer: nil)
        #expect(Self.text(decode) == Self.decodeStart + #""min_tokens":2}"#)
        let release = handoff.releaseLeg(request, Self.attempt, answer: nil)
        #expect(Self.text(release) == Self.text(prefill))
        #expect([prefill.requestID, decode.requestID, release?.requestID] == [id, id, id])
    }

    @Test("offloading: an id that P offers under and D loads from")
    func offloadP2P() throws {
        let handoff = OffloadP2PProtocol()
        let request = try Self.request(#"{"prompt":"a"}"#)
        #expect(
            Self.text(handoff.prefillLeg(request, Self.attempt))
                == #"{"prompt":"a","max_tokens":1,"stream":false,"kv_transfer_params":{"remote_decoder":{"kv_request_id":"\#(Self.id)"}}}"#
        )
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: nil))
                == #"{"prompt":"a","kv_transfer_params":{"remote_prefiller":{"kv_request_id":"\#(Self.id)","#
                + #""remote_host":"10.0.0.1","remote_port":5713}}}"#)
    }

    @Test("SGLang: the same body on both legs, limits and stream untouched, a room of 63 bits")
    func sglang() throws {
        let handoff = SGLangProtocol()
        let request = try Self.request(Self.body)
        let room = Self.attempt.id.number
        #expect((0...Int.max).contains(room))
        let expected =
            #"{"model":"m","prompt":"a","max_tokens":5,"stream":true,"stop_token_ids":[1],"big":18446744073709551616,"#
            + #""bootstrap_room":\#(room),"min_tokens":2,"bootstrap_host":"10.0.0.1","bootstrap_port":8998}"#
        var attempt = Self.attempt
        (attempt.prefillRank, attempt.decodeRank) = (nil, nil)
        #expect(Self.text(handoff.prefillLeg(request, attempt)) == expected)
        #expect(Self.text(handoff.decodeLeg(request, attempt, answer: nil)) == expected)
        attempt.pair.prefill.transfer.host = "fd00::1"
        #expect(
            Self.text(handoff.prefillLeg(try Self.request(#"{"prompt":"a"}"#), attempt))?.contains(
                #""bootstrap_host":"[fd00::1]""#) == true)
    }

    @Test("SGLang: a batch has lists of equal length, and no room twice")
    func sglangBatch() throws {
        let handoff = SGLangProtocol()
        for (body, count) in [(#"{"prompt":["a","b","c"]}"#, 3), (#"{"prompt":[[1,2],[3]]}"#, 2)] {
            let leg = try #require(Self.text(handoff.prefillLeg(try Self.request(body), Self.attempt)))
            let view = try JSONView(parsing: leg)
            #expect(view["bootstrap_host"]?.elements.map(\.string) == Array(repeating: "10.0.0.1", count: count))
            #expect(view["bootstrap_port"]?.elements.map(\.int) == Array(repeating: 8998, count: count))
            let rooms = view["bootstrap_room"]?.elements.compactMap(\.int) ?? []
            #expect(Set(rooms).count == count && rooms.allSatisfy { $0 >= 0 })
        }
        // One prompt of tokens is no batch.
        let single = try Self.request(#"{"prompt":[1,2,3]}"#)
        #expect(
            try JSONView(parsing: Self.text(handoff.prefillLeg(single, Self.attempt)) ?? "")["bootstrap_room"]?.int
                == Self.attempt.id.number)
        let many = "{\"prompt\":[" + Array(repeating: "\"a\"", count: 1025).joined(separator: ",") + "]}"
        #expect(handoff.refusal(try Self.request(many))?.code == .badRequest)
        // The engines would put all samples of a prompt into one room.
        for choices in ["2", "0", "\"2\"", "[2]"] {
            for chat in [true, false] {
                let request = try Self.request(#"{"prompt":"a","messages":[],"n":\#(choices)}"#, chat: chat)
                #expect(handoff.refusal(request)?.parameter == "n", "\(choices)")
            }
        }
    }

    @Test("SGLang: a prefill whose 200 tells an error has failed")
    func sglangErrors() throws {
        let handoff = SGLangProtocol()
        let request = try Self.request(#"{"prompt":"a"}"#)
        func verdict(_ body: String) -> HandoffMachine.PrefillAnswer {
            handoff.judge(PrefillAnswer(status: 200, body: ByteBuffer(string: body)), for: request)
        }
        #expect(verdict(#"{"id":"x","choices":[]}"#) == .ready)
        #expect(verdict(#"{"id":"x","error":null}"#) == .ready)
        #expect(verdict(#"{"error":{"message":"no"}}"#) == .failed)
        #expect(verdict("data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n") == .failed)
        #expect(verdict("data: {\"id\":\"x\",\"choices\":[]}\n\ndata: [DONE]\n\n") == .ready)
        #expect(verdict("") == .ready)
    }

    @Test("TensorRT-LLM, context first: P's parameters, usage and tokens on D; limits stay")
    func tensorRT() throws {
        let handoff = TensorRTProtocol(style: .contextFirst)
        let request = try Self.request(Self.body)
        let number = Self.attempt.id.number
        #expect(
            Self.text(handoff.prefillLeg(request, Self.attempt))
                == #"{"model":"m","prompt":"a","max_tokens":5,"stream":false,"stop_token_ids":[1],"big":18446744073709551616,"#
                + #""disaggregated_params":{"request_type":"context_only","disagg_request_id":\#(number),"schedule_style":0},"min_tokens":2}"#
        )
        let answer = PrefillAnswer(
            status: 200,
            body: ByteBuffer(
                string: #"{"id":"c","choices":[{"text":"x","finish_reason":"not_finished","disaggregated_params":"#
                    + #"{"request_type":"context_only","ctx_request_id":9007199254740993,"first_gen_tokens":[7],"encoded_opaque_state":"QQ=="}}],"#
                    + #""prompt_token_ids":[4,5],"usage":{"prompt_tokens":2}}"#))
        #expect(handoff.judge(answer, for: request) == .ready)
        #expect(handoff.firstTokenMerge(request, answer: answer) == nil)
        let decode = try #require(Self.text(handoff.decodeLeg(request, Self.attempt, answer: answer)))
        #expect(
            decode
                == #"{"model":"m","prompt":[4,5],"max_tokens":5,"stream":true,"stop_token_ids":[1],"big":18446744073709551616,"#
                + #""disaggregated_params":{"request_type":"generation_only","ctx_request_id":9007199254740993,"first_gen_tokens":[7],"#
                + #""encoded_opaque_state":"QQ==","schedule_style":0,"ctx_usage":{"prompt_tokens":2}},"min_tokens":2}"#)
        let chat = try Self.request(#"{"messages":[]}"#, chat: true)
        #expect(
            Self.text(handoff.decodeLeg(chat, Self.attempt, answer: answer))?.hasSuffix(
                #","prompt_token_ids":[4,5]}"#) == true)
    }

    @Test(
        "TensorRT-LLM: a number of choices that is not known to be one is refused",
        arguments: ["\"2\"", "2", "0", "[2]"])
    func tensorRTChoices(choices: String) throws {
        let handoff = TensorRTProtocol(style: .contextFirst)
        for name in ["n", "best_of"] {
            let request = try Self.request(#"{"prompt":"a","\#(name)":\#(choices)}"#)
            #expect(handoff.refusal(request)?.parameter == name)
        }
        #expect(handoff.refusal(try Self.request(#"{"prompt":"a","n":1,"best_of":null}"#)) == nil)
    }

    @Test("TensorRT-LLM: a context whose first token is the last answers the client itself, in the client's shape")
    func tensorRTComplete() throws {
        let handoff = TensorRTProtocol(style: .contextFirst)
        let request = try Self.request(
            #"{"prompt":"a","stream":true,"stream_options":{"include_usage":true}}"#)
        let answer = PrefillAnswer(
            status: 200,
            body: ByteBuffer(
                string:
                    #"{"id":"c","created":5,"model":"m","choices":[{"index":0,"text":" end","finish_reason":"stop","#
                    + #""disaggregated_params":{"ctx_request_id":1}}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#
            ))
        #expect(handoff.judge(answer, for: request) == .complete)
        let merge = try #require(handoff.firstTokenMerge(request, answer: answer))
        let stream = String(decoding: merge.streamStart(complete: true), as: UTF8.self)
        #expect(stream.contains(#""text":" end""#) && stream.contains(#""finish_reason":"stop""#))
        #expect(stream.hasSuffix("data: [DONE]\n\n") && !stream.contains("disaggregated_params"))
        let whole = String(decoding: try #require(merge.wholeAnswer(decode: nil)), as: UTF8.self)
        #expect(!whole.contains("disaggregated_params") && whole.contains(#""text":" end""#))
        for broken in [
            "{}", #"{"choices":[{"finish_reason":"length"}]}"#,
            #"{"choices":[{"finish_reason":"length","disaggregated_params":{}},{"finish_reason":"length"}]}"#,
            #"{"choices":[{"finish_reason":"length","disaggregated_params":{"request_type":"context_only"}}]}"#,
        ] {
            #expect(
                handoff.judge(PrefillAnswer(status: 200, body: ByteBuffer(string: broken)), for: request) == .failed)
        }
    }

    @Test("TensorRT-LLM: the conversation is named on both legs", arguments: HandoffOptions.TRTLLMStyle.allCases)
    func tensorRTConversation(style: HandoffOptions.TRTLLMStyle) throws {
        let handoff = TensorRTProtocol(style: style)
        let request = try Self.request(#"{"prompt":"a","conversation_id":"c1"}"#)
        let answer = PrefillAnswer(
            status: 200,
            body: ByteBuffer(
                string: #"{"choices":[{"finish_reason":"length","disaggregated_params":{"ctx_request_id":1}}]}"#))
        let legs = [
            handoff.prefillLeg(request, Self.attempt), handoff.decodeLeg(request, Self.attempt, answer: answer),
        ]
        for leg in legs {
            let view = try JSONView(parsing: Self.text(leg) ?? "")
            #expect(view["disaggregated_params"]?["conversation_id"]?.string == "c1", "\(view.rawString)")
        }
    }

    @Test("TensorRT-LLM, generation first: one number on both legs, the context server's place on D")
    func tensorRTGenerationFirst() throws {
        let handoff = TensorRTProtocol(style: .generationFirst)
        #expect(handoff.rules.dispatch == .decodeFirst && handoff.neededFacts == .contextEndpoint)
        let request = try Self.request(#"{"prompt":"a"}"#)
        let number = Self.attempt.id.number
        #expect(
            Self.text(handoff.decodeLeg(request, Self.attempt, answer: nil))
                == #"{"prompt":"a","disaggregated_params":{"request_type":"generation_only","ctx_request_id":\#(number),"#
                + #""disagg_request_id":\#(number),"ctx_dp_rank":3,"ctx_info_endpoint":["tcp://10.0.0.1:9999"],"schedule_style":1}}"#
        )
        #expect(
            Self.text(handoff.prefillLeg(request, Self.attempt))
                == #"{"prompt":"a","stream":false,"disaggregated_params":{"request_type":"context_only","disagg_request_id":\#(number),"schedule_style":1}}"#
        )
        for body in [#"{"prompt":["a","b"]}"#, #"{"prompt":"a","n":2}"#, #"{"prompt":"a","best_of":3}"#] {
            #expect(handoff.refusal(try Self.request(body))?.code == .badRequest)
        }
    }

    @Test("llm-d: the untouched request, and the prefill engine in a header")
    func llmd() throws {
        let handoff = SidecarProtocol()
        let request = try Self.request(#"{"prompt":"a","kv_transfer_params":{"remote_host":"evil"}}"#)
        let leg = handoff.decodeLeg(request, Self.attempt, answer: nil)
        #expect(Self.text(leg) == #"{"prompt":"a"}"# && leg.prefiller == "10.0.0.1:8100")
        #expect(handoff.decodeAloneLeg(request).prefiller == nil)
    }

    @Test("LMCache's stores: the client's `lmcache.` members on both legs, an id of ours where telemetry names it")
    func lmcacheStores() throws {
        let request = try Self.request(
            #"{"prompt":"a","kv_transfer_params":{"lmcache.tag.user":"b","remote_host":"evil","lmcache.skip_save":true}}"#
        )
        let tags = #""kv_transfer_params":{"lmcache.tag.user":"b"}"#
        for handoff in [LMCacheLegacyProtocol(), LMCacheMPProtocol(workers: 2)] as [any HandoffProtocol] {
            let prefill = handoff.prefillLeg(request, Self.attempt)
            #expect(Self.text(prefill) == #"{"prompt":"a",\#(tags),"max_tokens":1,"stream":false}"#)
            #expect(
                Self.text(handoff.decodeLeg(request, Self.attempt, answer: nil)) == #"{"prompt":"a",\#(tags)}"#)
            #expect(prefill.requestID == (handoff.rules.expectedNotices > 0 ? Self.id : nil))
        }
        #expect(RequestID.find(in: "cmpl-\(Self.id)-0-1a2b3c4d") == Self.id)
        #expect(RequestID.find(in: "chatcmpl-\(Self.id)-1a2b3c4d") == Self.id)
    }

    @Test("LMCache: a decoder with both roles is told to the prefill engine with its query ports")
    func lmcacheQueryPorts() throws {
        var attempt = Self.attempt
        attempt.pair.decode.receiver = PDReceiver(
            host: "10.0.0.2", initPorts: [7300], allocPorts: [7400], queryPorts: [7500])
        let leg = LMCacheProtocol(firstToken: .decode, expectedNotices: 1).prefillLeg(
            try Self.request(#"{"prompt":"a"}"#), attempt)
        #expect(
            Self.text(leg)?.contains(
                #""receiver_alloc_port":[7400],"receiver_query_port":[7500]}"#) == true)
    }

    @Test("NIXL: the last turn's parameters ask P to pull, as they came")
    func nixlTurn() throws {
        var attempt = Self.attempt
        attempt.previousTurn = ByteBuffer(string: #"{"do_remote_decode":true,"remote_block_ids":[[1]], "x":1.50}"#)
        #expect(
            Self.text(NixlProtocol().prefillLeg(try Self.request(#"{"prompt":"a"}"#), attempt))
                == #"{"prompt":"a","max_tokens":1,"stream":false,"kv_transfer_params":{"do_remote_decode":true,"remote_block_ids":[[1]], "x":1.50}}"#
        )
    }

    @Test("no client's parameter reaches an engine under any hand-off")
    func forged() throws {
        let request = try Self.request(Self.body)
        for kind in HandoffKind.allCases {
            var deployment = Deployment()
            deployment.handoff = kind
            let handoff = HandoffKind.makeProtocol(deployment)
            let answer = PrefillAnswer(status: 200, body: ByteBuffer(string: "{}"))
            let legs = [
                handoff.prefillLeg(request, Self.attempt), handoff.decodeLeg(request, Self.attempt, answer: answer),
                handoff.decodeAloneLeg(request), handoff.releaseLeg(request, Self.attempt, answer: answer),
            ].compactMap { Self.text($0) }
            for leg in legs {
                #expect(!leg.contains("evil") && !leg.contains(#""bootstrap_room":1,"#) && !leg.contains(#"{"x":1}"#))
                // Another's numbers survive.
                if leg.contains(#""big""#) { #expect(leg.contains(#""big":18446744073709551616"#)) }
            }
        }
    }
}
