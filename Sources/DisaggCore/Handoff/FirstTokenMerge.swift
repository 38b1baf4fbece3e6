internal import NIOCore

/// Joins the prefill engine's first token and the decoder's continuation into one answer of the endpoint that was asked.
///
/// The prefill leg is the client's own endpoint with `return_token_ids`; the decode leg is always `/v1/completions` with
/// the prompt's ids and the first token. So the ids are exact, the chat template is applied once, and what differs between
/// the legs (id, created, usage, the shape of chat chunks) is put right here, event by event.
///
/// Which requests may take this way is decided before the prefill by ``reasonToDecodeAlone(_:)``: not those whose output
/// must be seen whole by a parser or a grammar, whose sampling depends on what was sampled before, or whose stop strings
/// could span the seam.
package struct FirstTokenMerge: Sendable {
    let endpoint: GenerationRequest.Endpoint
    /// The prefill's own answer, the mould for an answer in one piece.
    let answer: PrefillAnswer
    let firstText: String
    let promptTokens: Int
    /// Tokens of the answer that the client got ahead of the decoder's.
    let tokensBefore: Int
    let wantsUsage: Bool
    /// JSON texts of the answer.
    let id: ByteBuffer
    let created: ByteBuffer
    let fingerprint: ByteBuffer?
    /// What every chunk written here begins with.
    let chunkHead: ByteBuffer

    /// Creates a merge for a usable answer.
    ///
    /// - Parameter tokensBefore: tokens of the answer that the client got ahead of the decoder's: the first one.
    package init(_ request: GenerationRequest, answer: PrefillAnswer, tokensBefore: Int = 1) {
        self.tokensBefore = tokensBefore
        endpoint = request.endpoint
        self.answer = answer
        firstText = Self.text(of: answer, endpoint: request.endpoint) ?? ""
        promptTokens = answer.promptTokenCount ?? 0
        wantsUsage = request.members.bool("stream_options", "include_usage") ?? false
        let id = answer.raw(answer.places.id) ?? ByteBuffer(string: "null")
        let created = answer.raw(answer.places.created) ?? ByteBuffer(string: "0")
        let model = answer.raw(answer.places.model) ?? ByteBuffer(string: "null")
        self.id = id
        self.created = created
        fingerprint = answer.raw(answer.places.fingerprint)
        var head = ByteBuffer()
        head.writeText(reserving: 128 + id.readableBytes + model.readableBytes) { text in
            text.write("{\"id\":")
            text.write(id)
            text.write(
                request.endpoint == .completions
                    ? #","object":"text_completion","created":"# : #","object":"chat.completion.chunk","created":"#)
            text.write(created)
            text.write(",\"model\":")
            text.write(model)
            text.write(",")
        }
        chunkHead = head
    }

    // MARK: Which requests

    /// Why a request must be served by the decoder alone; nil where its first token can come from the prefill engine.
    package static func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        let members = request.members
        guard request.endpoint == .completions || request.endpoint == .chatCompletions else {
            return .firstTokenEndpoint
        }
        if request.choices != 1 || (members.int("best_of") ?? 1) > 1 { return .severalChoices }
        if members.isPresent("logprobs") && members.bool("logprobs") != false { return .firstTokenLogprobs }
        if members.isMeaningful("stop") || members.isMeaningful("bad_words") { return .firstTokenStop }
        for field in structuring where members.isMeaningful(field) { return .firstTokenStructured }
        if members.isPresent("response_format"), !members.equals("response_format", "type", json: "\"text\"") {
            return .firstTokenStructured
        }
        if members.isPresent("seed") { return .firstTokenSampling }
        for field in historyDependent where members.isMeaningful(field) { return .firstTokenSampling }
        if members.isPresent("repetition_penalty"), members.int("repetition_penalty") != 1 {
            return .firstTokenSampling
        }
        for field in wholeOutput where members.isMeaningful(field) { return .firstTokenOption }
        if members.isPresent("truncate_prompt_tokens") || members.isPresent("suffix") { return .firstTokenOption }
        if members.bool("stream_options", "continuous_usage_stats") == true { return .firstTokenOption }
        return nil
    }

    private static let structuring: [StaticString] = [
        "tools", "functions", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
        "reasoning_effort", "thinking", "thinking_token_budget",
    ]
    private static let historyDependent: [StaticString] = [
        "presence_penalty", "frequency_penalty", "logits_processors", "vllm_xargs",
    ]
    private static let wholeOutput: [StaticString] = [
        "echo", "return_token_ids", "return_tokens_as_token_ids", "continue_final_message", "stream_interval",
    ]

    /// How the prefill's answer is to be taken.
    package static func judge(
        _ answer: PrefillAnswer, for request: GenerationRequest
    ) -> HandoffMachine.PrefillAnswer {
        guard let choice = answer.places.choice, let text = text(of: answer, endpoint: request.endpoint),
            answer.firstToken != nil, !answer.places.promptTokens.isEmpty, let promptTokens = answer.promptTokenCount
        else { return .unusable }
        // More than the context holds: the decoder shall answer with its own error, before anything was streamed.
        let limit = request.tokenLimit ?? (request.endpoint == .completions ? 16 : nil)
        if let limit, let context = answer.contextLength, limit > context - promptTokens { return .unusable }
        if answer.string(choice.finishReason) == "stop" { return .complete }
        // Half a character, or a token that is hidden: its text is only known together with the next.
        if text.isEmpty || text.unicodeScalars.contains("\u{FFFD}") { return .unusable }
        if let limit = request.tokenLimit, limit <= 1 { return .complete }
        guard let contextLength = answer.contextLength else {
            return request.endpoint == .chatCompletions && request.tokenLimit == nil ? .unusable : .ready
        }
        return promptTokens + 1 >= contextLength ? .complete : .ready
    }

    private static func text(of answer: PrefillAnswer, endpoint: GenerationRequest.Endpoint) -> String? {
        guard let choice = answer.places.choice else { return nil }
        if endpoint == .completions { return answer.string(choice.text) }
        guard !choice.message.isEmpty else { return nil }
        return choice.isParsed ? "" : answer.string(choice.content) ?? ""
    }

    // MARK: The decode leg

    private static let chatEdits: JSONSplice = {
        var splice = LegRewriting.strippingForTokens
        for field in [
            "messages", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "response_format",
            "chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "documents",
            "reasoning_effort", "include_reasoning", "logprobs", "top_logprobs", "mm_processor_kwargs", "functions",
            "function_call",
        ] as [StaticString] { splice.remove(field) }
        return splice
    }()

    /// The splice that turns the client's request into a completion of prompt ids and first token.
    static func decodeSplice(_ request: GenerationRequest, answer: PrefillAnswer) -> JSONSplice {
        var splice = request.endpoint == .chatCompletions ? chatEdits : LegRewriting.strippingForTokens
        let firstToken = answer.firstToken ?? 0
        if var tokens = answer.promptTokens {
            // Its closing bracket moves behind the first token.
            tokens.moveWriterIndex(to: tokens.writerIndex - 1)
            let isEmpty = tokens.readableBytesView.dropFirst().allSatisfy { $0 <= 0x20 }
            splice.set("prompt", large: tokens) { json in
                if !isEmpty { json.write(",") }
                json.writeDecimal(firstToken)
                json.write("]")
            }
        } else {
            splice.set("prompt") { $0.writeJSON([firstToken]) }
        }
        splice.set("max_tokens", number: max(1, (request.tokenLimit ?? defaultLimit(request, answer)) - 1))
        if request.minimumTokens > 0 { splice.set("min_tokens", number: request.minimumTokens - 1) }
        return splice
    }

    /// A completion that goes on behind tokens that the client has.
    ///
    /// - Parameters:
    ///   - tokens: the prompt's and the answer's so far.
    ///   - limit: tokens that may still be generated, 1 or more.
    ///   - minimum: tokens that must still be generated; none where not positive.
    static func continuationLeg(
        _ request: GenerationRequest, tokens: [Int], limit: Int, minimum: Int
    ) -> LegRequest {
        var splice = request.endpoint == .chatCompletions ? chatEdits : LegRewriting.strippingForTokens
        splice.set("prompt") { $0.writeJSON(tokens) }
        splice.set("max_tokens", number: limit)
        if minimum > 0 { splice.set("min_tokens", number: minimum) } else { splice.remove("min_tokens") }
        return LegRequest(
            path: GenerationRequest.Endpoint.completions.rawValue,
            body: splice.apply(to: request.body, request.table))
    }

    /// What the engine allows where the client names no limit: 16 for completions, the rest of the context for chat.
    ///
    /// Source: vLLM 0.33.0 `openai/completion/protocol.py` 64. The engine caps a chat's limit by its own context.
    private static func defaultLimit(_ request: GenerationRequest, _ answer: PrefillAnswer) -> Int {
        guard request.endpoint == .chatCompletions else { return 16 }
        return max(2, (answer.contextLength ?? 0) - (answer.promptTokenCount ?? 0))
    }
}
