internal import NIOCore

/// TensorRT-LLM's context and generation servers, joined by `disaggregated_params`.
///
/// Context first: the context server's answer carries the parameters, its usage and the prompt's token ids for the generation
/// server; where its first token ended the answer, its answer is the client's. Generation first: the generation server is asked
/// before the context server and pulls from it. The generation server emits the first token itself, so nothing is merged.
/// Source: TensorRT-LLM `tensorrt_llm/serve/openai_disagg_service.py`.
///
/// | event | context first | generation first |
/// |---|---|---|
/// | the client leaves | cancel the leg; nothing is known that frees the context server's KV | cancel both legs |
/// | the context leg fails | a new pair with a fresh id, at last an error | cancel the generation, then the same |
/// | the generation leg fails | a new pair with a fresh id | cancel the context, then a new pair |
/// | the context server rejects the request | its error is the client's answer | the same |
/// | several prompts or choices in one request | refused: a context has one of each | the same |
package struct TensorRTProtocol: HandoffProtocol {
    package let style: HandoffOptions.TRTLLMStyle
    package let rules: HandoffRules
    package var neededFacts: NeededFacts { style == .generationFirst ? .contextEndpoint : [] }

    /// Creates the protocol.
    package init(style: HandoffOptions.TRTLLMStyle) {
        self.style = style
        rules = HandoffRules(
            dispatch: style == .contextFirst ? .sequential : .decodeFirst, prefillOutlivesDecoder: false,
            decodeMayBeRepeated: false, checksDecoderFirst: true, decoderServesAlone: false)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? { nil }

    package func refusal(_ request: GenerationRequest) -> DisaggError? {
        if let refusal = LegRewriting.endpointRefusal(request, of: "TensorRT-LLM") { return refusal }
        if request.promptShape == .many {
            return DisaggError(
                .badRequest, "TensorRT-LLM hands over one prompt a request; send one request for each",
                parameter: "prompt")
        }
        // What is no number here may be one to the engine, as "2" is.
        let ranks = request.members.isPresent("best_of") && request.members.int("best_of") != 1
        guard request.choices != 1 || ranks else { return nil }
        return DisaggError(
            .badRequest, "TensorRT-LLM hands over one choice a request; send one request for each",
            parameter: request.choices != 1 ? "n" : "best_of")
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var splice = LegRewriting.stripping
        splice.set("stream", literal: "false")
        splice.remove("stream_options")
        splice.set("disaggregated_params") { json in
            json.write(#"{"request_type":"context_only","disagg_request_id":"#)
            json.writeDecimal(attempt.id.number)
            json.write(style == .contextFirst ? #","schedule_style":0"# : #","schedule_style":1"#)
            if let conversation = Self.conversation(request) {
                json.write(#","conversation_id":"#)
                json.write(conversation)
            }
            json.write("}")
        }
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    /// What the client calls its conversation, as JSON text: servers keep its cache together.
    private static func conversation(_ request: GenerationRequest) -> ByteBuffer? {
        request.members.isMeaningful("conversation_id") ? request.members.raw("conversation_id") : nil
    }

    package func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer {
        guard style == .contextFirst else { return answer.tellsError ? .failed : .ready }
        guard let choice = answer.places.choice else { return .failed }
        switch answer.string(choice.finishReason) {
        case "length", "not_finished": return namesRequest(answer, choice.disaggregatedParameters) ? .ready : .failed
        default: return .complete
        }
    }

    /// Without the context's own request id a generation server finds nothing.
    private func namesRequest(_ answer: PrefillAnswer, _ parameters: Range<Int>) -> Bool {
        guard let raw = answer.raw(parameters), let table = try? JSONMemberTable(scanning: raw) else { return false }
        return MemberReader(body: raw, table: table).int("ctx_request_id") != nil
    }

    package func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge? {
        // Only where the context server's answer is the client's: it takes the shape that was asked for.
        style == .contextFirst && judge(answer, for: request) == .complete
            ? FirstTokenMerge(request, answer: answer) : nil
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        var splice = LegRewriting.stripping
        switch style {
        case .contextFirst:
            guard let answer, let parameters = answer.places.choice.flatMap({ answer.raw($0.disaggregatedParameters) })
            else { break }
            var edits = JSONSplice()
            edits.set("request_type", literal: "\"generation_only\"")
            edits.set("schedule_style", literal: "0")
            if let conversation = Self.conversation(request) { edits.set("conversation_id", large: conversation) }
            if let usage = answer.raw(answer.places.usage) { edits.set("ctx_usage", large: usage) }
            splice.set("disaggregated_params", large: edits.applied(to: parameters) ?? parameters)
            // The context server's tokens, so that both sides agree on the template.
            if let tokens = answer.promptTokens {
                splice.remove("truncate_prompt_tokens")
                splice.remove("add_special_tokens")
                splice.set(request.endpoint == .completions ? "prompt" : "prompt_token_ids", large: tokens)
            }
        case .generationFirst:
            splice.set("disaggregated_params") { json in
                json.write(#"{"request_type":"generation_only","ctx_request_id":"#)
                json.writeDecimal(attempt.id.number)
                json.write(#","disagg_request_id":"#)
                json.writeDecimal(attempt.id.number)
                json.write(#","ctx_dp_rank":"#)
                json.writeDecimal(attempt.prefillRank ?? 0)
                if let endpoint = attempt.facts.contextEndpoint {
                    json.write(#","ctx_info_endpoint":"#)
                    json.write(endpoint)
                }
                json.write(#","schedule_style":1"#)
                if let conversation = Self.conversation(request) {
                    json.write(#","conversation_id":"#)
                    json.write(conversation)
                }
                json.write("}")
            }
        }
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }
}
