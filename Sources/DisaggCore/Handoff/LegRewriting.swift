internal import NIOCore

/// Rewriting that every protocol shares: single members are spliced, every other byte stays as the client wrote it.
package enum LegRewriting {
    /// Fields that steer KV transfer between engines: forgeable, so a client's are never passed on.
    ///
    /// `remote_host` alone would let a client make an engine connect anywhere. Source: vLLM 0.33.0
    /// `nixl/pull_scheduler.py` 135-180; SGLang `bootstrap_*`; TensorRT-LLM `disaggregated_params`.
    static let routerOnlyFields: [StaticString] = [
        "kv_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room", "bootstrap_pair_key",
        "disaggregated_params",
    ]

    /// Removes the router-only fields a body has.
    static let stripping = JSONSplice(removing: routerOnlyFields)

    /// ``stripping`` for a leg whose prompt becomes token ids: what would be done to a text is done already.
    ///
    /// A prompt that was truncated once would be truncated again. Source: vLLM 0.33.0 `completion/protocol.py`.
    static let strippingForTokens = JSONSplice(
        removing: routerOnlyFields + ["truncate_prompt_tokens", "add_special_tokens"])

    /// Turns a completion or chat request into one that computes the prompt and one token, and answers in one piece.
    ///
    /// Source of each rule: vLLM 0.33.0 `sampling_params.py` 691-704 and `completion/protocol.py` 573-610: a limit below
    /// 1, `min_tokens` above the limit and `stream_options` without `stream` are errors.
    static let prefill: JSONSplice = {
        var splice = wholeAnswer(limiting: "max_tokens")
        splice.set("max_completion_tokens", literal: "1", onlyReplacing: true)
        for field in sampledOnly { splice.remove(field) }
        return splice
    }()

    /// What makes any request's prefill leg; see ``prefill``.
    ///
    /// - Parameter endsByLength: the engine must report that the token limit ended it. Mooncake and MoRIIO drop the send
    ///   where an end-of-sequence or stop token did, and the decoder waits for it; see ``canEndByLength(_:)``.
    static func prefill(for request: GenerationRequest, endsByLength: Bool = false) -> JSONSplice {
        var splice =
            switch request.endpoint {
            case .completions, .chatCompletions: prefill
            case .responses: responsesPrefill
            case .messages: messagesPrefill(request)
            case .generate: generatePrefill(request, endsByLength: endsByLength)
            // Only SGLang has it, whose prefill engines take the client's request as it is.
            case .native: stripping
            }
        if endsByLength, request.endpoint != .generate {
            splice.set("ignore_eos", literal: "true")
            splice.remove("stop_token_ids")
        }
        return splice
    }

    /// Whether a prefill leg can be made to end by its length whatever its one token is.
    ///
    /// `/v1/messages` has no `ignore_eos`: vLLM 0.33.0 `anthropic/protocol.py`.
    static func canEndByLength(_ request: GenerationRequest) -> Bool { request.endpoint != .messages }

    /// One token, no stream, no router-only fields.
    private static func wholeAnswer(limiting limit: StaticString?) -> JSONSplice {
        var splice = stripping
        if let limit { splice.set(limit, literal: "1") }
        splice.set("stream", literal: "false")
        splice.remove("stream_options")
        return splice
    }

    /// Members that shape an answer whose only token nobody reads, and members that contradict a limit of one.
    private static let sampledOnly: [StaticString] = [
        "min_tokens", "n", "best_of", "logprobs", "top_logprobs", "echo",
    ]

    /// A response is stored by the decoder alone, and a background one would be answered before it is computed.
    ///
    /// Source: vLLM 0.33.0 `openai/responses/serving.py` 541-596.
    private static let responsesPrefill: JSONSplice = {
        var splice = wholeAnswer(limiting: "max_output_tokens")
        splice.set("store", literal: "false")
        for field in ["background", "min_tokens", "top_logprobs"] as [StaticString] { splice.remove(field) }
        return splice
    }()

    /// A thinking budget must be below the token limit, and has no effect on the prompt: it goes. Thinking that is
    /// disabled or adaptive stays, since it can change what the chat template writes.
    ///
    /// Source: vLLM 0.33.0 `anthropic/protocol.py` 207-237, 352-362, `anthropic/serving.py` 658-680.
    private static func messagesPrefill(_ request: GenerationRequest) -> JSONSplice {
        var splice = wholeAnswer(limiting: "max_tokens")
        if request.members.equals("thinking", "type", json: "\"enabled\"") { splice.remove("thinking") }
        return splice
    }

    private static let generateSampling: JSONSplice = {
        var splice = JSONSplice(removing: sampledOnly)
        splice.set("max_tokens", literal: "1")
        return splice
    }()

    private static func generatePrefill(_ request: GenerationRequest, endsByLength: Bool) -> JSONSplice {
        var sampling = generateSampling
        if endsByLength {
            sampling.set("ignore_eos", literal: "true")
            sampling.remove("stop_token_ids")
        }
        var splice = wholeAnswer(limiting: nil)
        let own = request.members.raw("sampling_params") ?? ByteBuffer(string: "{}")
        // What is no object is for the engine to judge.
        if let spliced = sampling.applied(to: own) { splice.set("sampling_params") { $0.write(spliced) } }
        return splice
    }

    /// Reasons that hold for every protocol: what the decoder alone answers best.
    static func commonReason(_ request: GenerationRequest) -> HandoffReason? {
        let sampling = request.sampling
        switch request.endpoint {
        case .completions, .generate, .native: if request.promptShape == .absent { return .noPrompt }
        case .responses: if let reason = responsesReason(request.members) { return reason }
        case .chatCompletions, .messages: break
        }
        if request.hasUnreadableTokenLimit { return .invalidLimit }
        if let limit = request.tokenLimit, limit < 1 { return .invalidLimit }
        if request.minimumTokens > request.tokenLimit ?? .max { return .invalidLimit }
        if sampling.isPresent("prompt_logprobs") { return .promptLogprobs }
        if sampling.isMeaningful("echo"), sampling.isPresent("logprobs") { return .promptLogprobs }
        if sampling.isMeaningful("use_beam_search") { return .beamSearch }
        return nil
    }

    /// Only the decoder that stored a response knows its messages. Tools that the engine runs itself make several turns of
    /// one request, and each turn would use the parameters of the first again.
    ///
    /// Source: vLLM 0.33.0 `openai/responses/serving.py` 365-370, `openai/responses/protocol.py` 623.
    private static func responsesReason(_ members: MemberReader) -> HandoffReason? {
        if members.byteCount("input") == 0 { return .noPrompt }
        if members.isPresent("previous_response_id") { return .storedResponse }
        let clientTools: [StaticString] = ["\"function\"", "\"custom\"", "\"namespace\""]
        let areTheClients = members.allElements("tools") { tool in
            clientTools.contains { MemberReader.member(of: tool, "type", is: $0) }
        }
        return areTheClients ? nil : .engineTools
    }
}
