/// The bytes of `/inference/v1/generate` answers.
///
/// Source: vLLM 0.33.0 `scale_out/token_in_token_out/protocol.py` 560-650 and `serving.py` 590-830; no capture exists.
struct TokensEncoder {
    var context: AnswerContext

    /// The answer that is no stream.
    func body(_ choices: [JoinedChoice], transfer: String) -> String {
        let list = choices.enumerated().map { index, choice in
            #"{"index":\#(index),"logprobs":null,"finish_reason":"\#(choice.finish?.rawValue ?? "length")","#
                + #""stop_reason":\#(choice.stopReason),"token_ids":\#(AnswerContext.list(choice.tokens)),"#
                + #""routed_experts":null}"#
        }
        let generated = choices.reduce(0) { $0 + $1.tokens.count }
        let request = context.request
        let prompt = request.returnsTokenIDs ? AnswerContext.list(request.prompts.first ?? []) : "null"
        return #"{"request_id":\#(JSONString.encode(context.id)),"model":\#(JSONString.encode(context.model)),"#
            + #""created":\#(context.created),"usage":\#(context.usage(completionTokens: generated)),"#
            + #""prompt_logprobs":null,"prompt_token_ids":\#(prompt),"kv_transfer_params":\#(transfer),"#
            + #""output_mode":"tokens","choices":[\#(list.joined(separator: ","))]}"#
    }

    /// One chunk of a stream.
    func chunk(_ piece: GeneratedPiece, produced: Int) -> String {
        let request = context.request
        var usage = "null"
        if request.includesContinuousUsage {
            usage = context.streamUsage(promptTokens: request.promptTokens, completionTokens: produced)
        }
        return AnswerContext.event(
            #"{"request_id":\#(JSONString.encode(context.id)),"usage":\#(usage),"output_mode":"tokens","#
                + #""choices":[{"index":\#(piece.index),"logprobs":null,"#
                + #""finish_reason":\#(piece.finish.map { "\"\($0.rawValue)\"" } ?? "null"),"#
                + #""stop_reason":\#(piece.stopReason),"token_ids":\#(AnswerContext.list(piece.tokens)),"#
                + #""routed_experts":null}]}"#)
    }

    /// The chunk with the usage of the whole stream.
    func usageChunk(completionTokens: Int) -> String {
        let usage = context.streamUsage(promptTokens: context.request.promptTokens, completionTokens: completionTokens)
        return AnswerContext.event(
            #"{"request_id":\#(JSONString.encode(context.id)),"usage":\#(usage),"output_mode":"tokens","choices":[]}"#)
    }
}
