/// The bytes of `/v1/completions` answers: keys, order and nulls of fixtures 08, 09 and 31.
struct CompletionEncoder {
    var context: AnswerContext
    /// Scalars of token names so far, one element a choice: where the next `text_offset` starts.
    private var offsets: [Int]

    init(context: AnswerContext) {
        self.context = context
        offsets = Array(repeating: 0, count: context.request.prompts.count * context.request.choices)
    }

    /// The answer that is no stream.
    ///
    /// - Parameters:
    ///   - transfer: `kv_transfer_params` as JSON.
    ///   - choiceMembers: what each choice has beside the usual members, with a leading comma.
    mutating func body(_ choices: [JoinedChoice], transfer: String, choiceMembers: String = "") -> String {
        let request = context.request
        var list: [String] = []
        for (index, choice) in choices.enumerated() {
            let prompt = request.returnsTokenIDs ? AnswerContext.list(request.prompts[index / request.choices]) : "null"
            list.append(
                #"{"index":\#(index),"text":\#(JSONString.encode(choice.text)),"#
                    + #""logprobs":\#(logprobs(choice.sampled, choice: index)),"#
                    + #""finish_reason":"\#(choice.finish?.rawValue ?? "length")","stop_reason":\#(choice.stopReason),"#
                    + #""token_ids":\#(request.returnsTokenIDs ? AnswerContext.list(choice.tokens) : "null"),"#
                    + #""prompt_logprobs":null,"prompt_token_ids":\#(prompt),"routed_experts":null\#(choiceMembers)}"#)
        }
        let generated = choices.reduce(0) { $0 + $1.tokens.count }
        // A TensorRT-LLM context server saves the generation server the tokenization.
        let promptIDs =
            request.stopsAtContext
            ? #","prompt_token_ids":[\#(request.prompts.map(AnswerContext.list).joined(separator: ","))]"# : ""
        return #"{"id":\#(JSONString.encode(context.id)),"object":"text_completion","created":\#(context.created),"#
            + #""model":\#(JSONString.encode(context.model)),"choices":[\#(list.joined(separator: ","))],"#
            + #""service_tier":null,"system_fingerprint":"\#(AnswerContext.fingerprint)","#
            + #""usage":\#(context.usage(completionTokens: generated))\#(promptIDs),"kv_transfer_params":\#(transfer)}"#
    }

    /// One chunk of a stream.
    ///
    /// - Parameters:
    ///   - produced: tokens the choice has with this piece.
    ///   - transfer: `kv_transfer_params` as JSON, shown only where not nil.
    mutating func chunk(_ piece: GeneratedPiece, produced: Int, transfer: String?) -> String {
        let request = context.request
        let prompt = request.prompts[piece.index / request.choices]
        let promptIDs = request.returnsTokenIDs && piece.isFirst ? AnswerContext.list(prompt) : "null"
        let tail = context.streamTail(piece, promptTokens: prompt.count, produced: produced, transfer: transfer)
        return AnswerContext.event(
            head + #""choices":[{"index":\#(piece.index),"text":\#(JSONString.encode(piece.text)),"#
                + #""logprobs":\#(logprobs(piece.sampled, choice: piece.index)),"#
                + #""finish_reason":\#(piece.finish.map { "\"\($0.rawValue)\"" } ?? "null"),"#
                + #""stop_reason":\#(piece.stopReason),"prompt_token_ids":\#(promptIDs),"#
                + #""token_ids":\#(request.returnsTokenIDs ? AnswerContext.list(piece.tokens) : "null")}]\#(tail)}"#)
    }

    /// The chunk with the usage of the whole stream.
    func usageChunk(completionTokens: Int) -> String {
        let usage = context.streamUsage(promptTokens: context.request.promptTokens, completionTokens: completionTokens)
        return AnswerContext.event(
            head + #""choices":[],"usage":\#(usage),"system_fingerprint":"\#(AnswerContext.fingerprint)"}"#)
    }

    private var head: String {
        #"{"id":\#(JSONString.encode(context.id)),"object":"text_completion","created":\#(context.created),"#
            + #""model":\#(JSONString.encode(context.model)),"#
    }

    /// Keys in the order of vLLM's `CompletionLogProbs`.
    private mutating func logprobs(_ sampled: [SampledToken], choice: Int) -> String {
        guard context.request.logprobs != nil, !sampled.isEmpty else { return "null" }
        let vocabulary = SimulatedVocabulary.shared
        var positions: [String] = []
        var values: [String] = []
        var names: [String] = []
        var tops: [String] = []
        for entry in sampled {
            let name = vocabulary.name(of: entry.token)
            positions.append("\(offsets[choice])")
            offsets[choice] += name.unicodeScalars.count
            values.append(entry.logprob.map { "\($0)" } ?? "null")
            names.append(JSONString.encode(name))
            guard entry.logprob != nil else {
                tops.append("null")
                continue
            }
            var seen: Set<String> = []
            let members = entry.top.compactMap { alternative -> String? in
                let name = vocabulary.name(of: alternative.token)
                return seen.insert(name).inserted ? "\(JSONString.encode(name)):\(alternative.logprob)" : nil
            }
            tops.append("{\(members.joined(separator: ","))}")
        }
        return #"{"text_offset":[\#(positions.joined(separator: ","))],"#
            + #""token_logprobs":[\#(values.joined(separator: ","))],"tokens":[\#(names.joined(separator: ","))],"#
            + #""top_logprobs":[\#(tops.joined(separator: ","))]}"#
    }
}
