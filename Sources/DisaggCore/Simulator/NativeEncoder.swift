/// The bytes of SGLang's `/generate` answers.
///
/// Source: SGLang `managers/tokenizer_manager.py` `_handle_batch_output` and `_wait_one_response`: one object a request, a
/// list of them for a batch; a stream's events carry the text so far and, in a batch, the request's index. No capture exists.
struct NativeEncoder {
    let context: AnswerContext
    /// Each choice's text and tokens so far.
    private var joined: [JoinedChoice]

    init(context: AnswerContext) {
        self.context = context
        joined = Array(repeating: JoinedChoice(), count: context.request.prompts.count * context.request.choices)
    }

    private var isList: Bool { context.request.isBatch || context.request.choices > 1 }

    /// The answer that is no stream.
    func body(_ choices: [JoinedChoice]) -> String {
        let list = choices.indices.map { "{" + members(choices[$0], index: $0) + "}" }
        return isList ? "[\(list.joined(separator: ","))]" : list.first ?? "{}"
    }

    /// One event of a stream.
    mutating func chunk(_ piece: GeneratedPiece, produced: Int) -> String {
        joined[piece.index].append(piece)
        let place = isList ? #","index":\#(piece.index)"# : ""
        return AnswerContext.event("{" + members(joined[piece.index], index: piece.index) + place + "}")
    }

    private func members(_ choice: JoinedChoice, index: Int) -> String {
        let request = context.request
        let prompt = request.prompts[index / request.choices]
        let finish =
            switch choice.finish {
            case nil: "null"
            case .stop: #"{"type":"stop","matched":\#(choice.stopReason)}"#
            case .some: #"{"type":"length","length":\#(choice.tokens.count)}"#
            }
        var logprobs = ""
        if request.returnsLogprobs {
            logprobs =
                #""input_token_logprobs":[\#(promptLogprobs(prompt))],"#
                + #""output_token_logprobs":[\#(choice.tokens.map(Self.entry).joined(separator: ","))],"#
        }
        return #""text":\#(JSONString.encode(choice.text)),"output_ids":\#(AnswerContext.list(choice.tokens)),"#
            + #""meta_info":{"id":\#(JSONString.encode(context.id)),"finish_reason":\#(finish),"#
            + #""prompt_tokens":\#(prompt.count),"weight_version":"default",\#(logprobs)"#
            + #""completion_tokens":\#(choice.tokens.count),"cached_tokens":0}"#
    }

    /// The first token has no probability. A decoder that got its KV from elsewhere computed none of them.
    private func promptLogprobs(_ prompt: [Int]) -> String {
        let start = context.request.logprobStart
        guard start >= 0, context.request.computesPrompt else { return "" }
        return prompt.enumerated().dropFirst(start).map { place, token in
            place == 0 ? "[null,\(token),null]" : Self.entry(token)
        }.joined(separator: ",")
    }

    /// Log-probability, token, no text.
    private static func entry(_ token: Int) -> String { "[-\(Double(token % 97) / 8),\(token),null]" }
}
