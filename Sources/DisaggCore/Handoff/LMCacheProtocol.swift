internal import NIOCore

/// LMCache PD (`enable_pd`): the prefill request names the receiver, the prefill engine pushes KV there and notifies us.
///
/// The prefill engine's HTTP answer does *not* mean that the KV arrived: the decode waits for one `ProxyNotif` a storing
/// prefill rank, or for the deadline (then the decoder computes what is missing). The receiver's buffer has no eviction:
/// pages are freed only by a decode that retrieves them. Source: LMCache 0.5.6 `pd_backend_async.py`,
/// `vllm_v1_adapter.py` 1554-1576, 1924-1927; rows 1–7 and 15–17 of the measurements on real engines.
///
/// | event | rule |
/// |---|---|
/// | a request without `disagg_spec` reaches the prefill engine | it dies; we never send one |
/// | the client leaves during the prefill | the prefill runs on (closing its connection kills the engine), then a throw-away decode frees the pages |
/// | the client leaves before the decode's first byte | the decode runs on until its first byte, then it is cancelled |
/// | the decoder rejects the request | a throw-away decode frees the pages |
/// | the decoder cannot be connected | a new pair with a fresh id: the KV is at the dead decoder |
/// | a notification comes after its deadline | a throw-away decode frees what arrived too late |
///
/// The synchronous backend (`pd_backend_mode: sync`) and the asynchronous one speak this same protocol. With the synchronous
/// one and `pd_role: both` a decoder may also have query ports (`receiver_query_port`): the prefill engine asks there what
/// the decoder holds, and computes the prompt whatever the answer is.
///
/// With ``FirstTokenSource/decode`` the request goes to both legs as it is and the whole API works. With
/// ``FirstTokenSource/prefill`` the first token comes from the prefill engine and the decoder continues from token ids; a
/// request whose first token cannot be right this way is served by the decoder alone.
package struct LMCacheProtocol: HandoffProtocol {
    package let firstToken: FirstTokenSource
    package let rules: HandoffRules

    /// Creates the protocol.
    ///
    /// - Parameters:
    ///   - expectedNotices: notifications a prefill sends: one a storing prefill rank (tensor times pipeline parallel size; for
    ///     MLA models only rank 0 stores), 1 or more.
    ///   - fallsBack: whether a decoder serves a request alone whose prefill failed.
    package init(firstToken: FirstTokenSource, expectedNotices: Int, fallsBack: Bool = true) {
        self.firstToken = firstToken
        rules = HandoffRules(
            prefillMayBeCancelled: false, decodeMayBeCancelledBeforeHead: false, expectedNotices: expectedNotices,
            release: .throwAwayDecode, prefillOutlivesDecoder: false, decodeMayBeRepeated: false,
            checksDecoderFirst: true, fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        if let reason = LegRewriting.commonReason(request) { return reason }
        if request.promptShape == .many { return .promptList }
        if request.members.isPresent("prompt_embeds") { return .noPrompt }
        return firstToken == .prefill ? FirstTokenMerge.reasonToDecodeAlone(request) : nil
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var splice = LegRewriting.prefill(for: request)
        if firstToken == .prefill {
            splice.set("return_token_ids", literal: "true")
            // An end of sequence as first token would break the client's minimum.
            if request.minimumTokens > 0 { splice.set("min_tokens", literal: "1") }
        }
        let decode = attempt.pair.decode
        let receiver = decode.receiver ?? PDReceiver(host: decode.host, initPorts: [], allocPorts: [])
        splice.set("kv_transfer_params") { json in
            json.write(firstToken == .prefill ? "{\"ret_first_tok\":true," : "{")
            json.write(#""disagg_spec":{"req_id":""#)
            json.write(attempt.id.description)
            json.write(#"","receiver_host":"#)
            json.writeJSON(receiver.host)
            json.write(#","receiver_init_port":"#)
            json.writeJSON(receiver.initPorts)
            json.write(#","receiver_alloc_port":"#)
            json.writeJSON(receiver.allocPorts)
            if !receiver.queryPorts.isEmpty {
                json.write(#","receiver_query_port":"#)
                json.writeJSON(receiver.queryPorts)
            }
            json.write("}")
            for tag in LMCacheTags.members(request) { json.write("," + tag) }
            json.write("}")
        }
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    package func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer {
        firstToken == .prefill ? FirstTokenMerge.judge(answer, for: request) : .ready
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        guard firstToken == .prefill, let answer else {
            return LMCacheTags.leg(request, path: request.endpoint, LegRewriting.stripping)
        }
        return LMCacheTags.leg(request, path: .completions, FirstTokenMerge.decodeSplice(request, answer: answer))
    }

    /// The prompt once more with one token: the decoder retrieves the pages and frees them.
    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        // Without the prompt's ids the prompt itself goes: its whole chunks are found, only a last part of one is not.
        if firstToken == .prefill, let answer, answer.promptTokens != nil {
            // The pages' keys cover prompt and first token less `skip_last_n_tokens`: any last token finds them.
            var splice = FirstTokenMerge.decodeSplice(request, answer: answer)
            splice.set("max_tokens", literal: "1")
            splice.set("stream", literal: "false")
            splice.remove("stream_options")
            splice.remove("min_tokens")
            return LMCacheTags.leg(request, path: .completions, splice)
        }
        return LMCacheTags.leg(request, path: request.endpoint, LegRewriting.prefill(for: request))
    }

    package func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge? {
        firstToken == .prefill ? FirstTokenMerge(request, answer: answer) : nil
    }
}
