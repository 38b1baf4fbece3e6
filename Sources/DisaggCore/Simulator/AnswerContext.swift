/// What all parts of one answer share.
struct AnswerContext {
    /// `cmpl-…`, `chatcmpl-…`, `resp_…` or `generate-tokens-…`.
    var id: String
    /// Seconds since 1970.
    var created: Int
    var model: String
    var request: SimulatedRequest
    /// Tokens of the prompt that were in the engine's cache; nil where it does not tell
    /// (`--enable-prompt-tokens-details`).
    var cachedTokens: Int?

    /// vLLM's name of its build, as captured.
    static let fingerprint = "vllm-0.24.0-c749092d"

    /// The whole `usage` object of an answer that is no stream.
    func usage(completionTokens: Int) -> String {
        let prompt = request.promptTokens
        return #"{"prompt_tokens":\#(prompt),"total_tokens":\#(prompt + completionTokens),"#
            + #""completion_tokens":\#(completionTokens),"prompt_tokens_details":\#(details ?? "null")}"#
    }

    private var details: String? { cachedTokens.map { #"{"cached_tokens":\#($0)}"# } }

    /// `usage` as streams have it: unset fields are left out there.
    func streamUsage(promptTokens: Int, completionTokens: Int) -> String {
        #"{"prompt_tokens":\#(promptTokens),"total_tokens":\#(promptTokens + completionTokens),"#
            + #""completion_tokens":\#(completionTokens)\#(details.map { ",\"prompt_tokens_details\":" + $0 } ?? "")}"#
    }

    /// What follows `choices` in a chunk of a stream, with its leading comma.
    func streamTail(_ piece: GeneratedPiece, promptTokens: Int, produced: Int, transfer: String?) -> String {
        var tail = ""
        if request.includesContinuousUsage {
            tail += #","usage":"# + streamUsage(promptTokens: promptTokens, completionTokens: produced)
        }
        if piece.finish != nil, !request.includesUsage { tail += #","system_fingerprint":"\#(Self.fingerprint)""# }
        if let transfer { tail += #","kv_transfer_params":\#(transfer)"# }
        return tail
    }

    /// A JSON array of token ids.
    static func list(_ tokens: [Int]) -> String { "[" + tokens.map(String.init).joined(separator: ",") + "]" }

    /// A server-sent event.
    static func event(_ json: String) -> String { "data: \(json)\n\n" }

    /// A server-sent event that names its type.
    static func event(_ json: String, named name: String) -> String { "event: \(name)\ndata: \(json)\n\n" }
}

/// All pieces of one choice joined, for an answer that is no stream.
struct JoinedChoice {
    var text = ""
    var tokens: [Int] = []
    var sampled: [SampledToken] = []
    var finish: FinishReason?
    var stopReason = "null"

    mutating func append(_ piece: GeneratedPiece) {
        text += piece.text
        tokens += piece.tokens
        sampled += piece.sampled
        finish = piece.finish
        stopReason = piece.stopReason
    }
}
