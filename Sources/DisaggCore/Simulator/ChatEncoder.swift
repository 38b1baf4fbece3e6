/// The bytes of `/v1/chat/completions` answers: keys, order and nulls of fixtures 11, 12 and 32.
struct ChatEncoder {
    var context: AnswerContext

    /// Id of the call in a choice that must call a tool: a function of prompt and choice, so that answers compare.
    private func toolCallID(_ index: Int) -> String {
        let hash = TokenHistory.mix(TokenHistory(context.request.prompts.first ?? []).hash &+ UInt64(index))
        let digits = String(hash, radix: 16)
        return "chatcmpl-tool-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// A choice that ended by itself with a call says so; one that was cut off does not.
    private func finish(_ reason: FinishReason) -> String {
        guard let tool = context.request.forcedTool, reason == .stop, !tool.isNamed else { return reason.rawValue }
        return FinishReason.toolCalls.rawValue
    }

    /// The answer that is no stream; parameters as for ``CompletionEncoder/body(_:transfer:choiceMembers:)``.
    func body(_ choices: [JoinedChoice], transfer: String, choiceMembers: String = "") -> String {
        let request = context.request
        var list: [String] = []
        for (index, choice) in choices.enumerated() {
            list.append(
                #"{"index":\#(index),"message":\#(message(choice, index: index)),"#
                    + #""logprobs":\#(logprobs(choice.sampled)),"#
                    + #""finish_reason":"\#(finish(choice.finish ?? .length))","stop_reason":\#(choice.stopReason),"#
                    + #""token_ids":\#(request.returnsTokenIDs ? AnswerContext.list(choice.tokens) : "null"),"#
                    + #""routed_experts":null\#(choiceMembers)}"#)
        }
        let generated = choices.reduce(0) { $0 + $1.tokens.count }
        let prompt =
            request.returnsTokenIDs || request.stopsAtContext ? AnswerContext.list(request.prompts.first ?? []) : "null"
        return #"{"id":\#(JSONString.encode(context.id)),"object":"chat.completion","created":\#(context.created),"#
            + #""model":\#(JSONString.encode(context.model)),"choices":[\#(list.joined(separator: ","))],"#
            + #""service_tier":null,"system_fingerprint":"\#(AnswerContext.fingerprint)","#
            + #""usage":\#(context.usage(completionTokens: generated)),"prompt_logprobs":null,"#
            + #""prompt_token_ids":\#(prompt),"prompt_text":null,"kv_transfer_params":\#(transfer)}"#
    }

    /// The chunk each choice starts with.
    func roleChunk(index: Int) -> String {
        let request = context.request
        let prompt = request.returnsTokenIDs ? AnswerContext.list(request.prompts.first ?? []) : "null"
        var usage = ""
        if request.includesContinuousUsage {
            usage = #","usage":"# + context.streamUsage(promptTokens: request.promptTokens, completionTokens: 0)
        }
        return AnswerContext.event(
            head + #""choices":[{"index":\#(index),"delta":{"role":"assistant","content":""},"logprobs":null,"#
                + #""finish_reason":null}]\#(usage),"prompt_token_ids":\#(prompt),"prompt_text":null}"#)
    }

    /// One chunk of a stream.
    func chunk(_ piece: GeneratedPiece, produced: Int, transfer: String?) -> String {
        let request = context.request
        var end = #""finish_reason":null"#
        if let reason = piece.finish {
            end = #""finish_reason":"\#(finish(reason))","stop_reason":\#(piece.stopReason)"#
        }
        let tail = context.streamTail(
            piece, promptTokens: request.promptTokens, produced: produced, transfer: transfer)
        return AnswerContext.event(
            head + #""choices":[{"index":\#(piece.index),"delta":\#(delta(piece)),"#
                + #""logprobs":\#(logprobs(piece.sampled)),\#(end),"#
                + #""token_ids":\#(request.returnsTokenIDs ? AnswerContext.list(piece.tokens) : "null")}]\#(tail)}"#)
    }

    /// The chunk with the usage of the whole stream.
    func usageChunk(completionTokens: Int) -> String {
        let usage = context.streamUsage(promptTokens: context.request.promptTokens, completionTokens: completionTokens)
        return AnswerContext.event(
            head + #""choices":[],"usage":\#(usage),"system_fingerprint":"\#(AnswerContext.fingerprint)"}"#)
    }

    private var head: String {
        #"{"id":\#(JSONString.encode(context.id)),"object":"chat.completion.chunk","created":\#(context.created),"#
            + #""model":\#(JSONString.encode(context.model)),"#
    }

    /// The arguments of a forced call are an object with the generated text as its one member.
    private func message(_ choice: JoinedChoice, index: Int) -> String {
        guard let tool = context.request.forcedTool else {
            return #"{"role":"assistant","content":\#(JSONString.encode(choice.text)),"refusal":null,"#
                + #""annotations":null,"audio":null,"function_call":null,"reasoning":null}"#
        }
        let arguments = #"{"value": "# + JSONString.encode(choice.text) + "}"
        return #"{"role":"assistant","content":"","refusal":null,"annotations":null,"audio":null,"#
            + #""function_call":null,"tool_calls":[{"id":"\#(toolCallID(index))","type":"function","#
            + #""function":{"name":\#(JSONString.encode(tool.name)),"arguments":\#(JSONString.encode(arguments))}}],"#
            + #""reasoning":null}"#
    }

    private func delta(_ piece: GeneratedPiece) -> String {
        guard let tool = context.request.forcedTool else { return #"{"content":\#(JSONString.encode(piece.text))}"# }
        var arguments = String(JSONString.encode(piece.text).dropFirst().dropLast())
        if piece.isFirst { arguments = #"{"value": ""# + arguments }
        if piece.finish != nil { arguments += #""}"# }
        let quoted = JSONString.encode(arguments)
        guard piece.isFirst else { return #"{"tool_calls":[{"index":0,"function":{"arguments":\#(quoted)}}]}"# }
        return #"{"tool_calls":[{"id":"\#(toolCallID(piece.index))","type":"function","index":0,"#
            + #""function":{"name":\#(JSONString.encode(tool.name)),"arguments":\#(quoted)}}]}"#
    }

    private func logprobs(_ sampled: [SampledToken]) -> String {
        guard context.request.logprobs != nil else { return "null" }
        let entries = sampled.map { entry in
            let own = members(entry.token, entry.logprob ?? 0)
            let top = entry.top.map { "{\(members($0.token, $0.logprob))}" }.joined(separator: ",")
            return "{\(own),\"top_logprobs\":[\(top)]}"
        }
        return #"{"content":[\#(entries.joined(separator: ","))]}"#
    }

    private func members(_ token: Int, _ logprob: Double) -> String {
        let name = SimulatedVocabulary.shared.name(of: token)
        return
            #""token":\#(JSONString.encode(name)),"logprob":\#(logprob),"bytes":\#(AnswerContext.list(name.utf8.map(Int.init)))"#
    }
}
