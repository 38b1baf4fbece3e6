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
    private let endpoint: GenerationRequest.Endpoint
    private let id: String
    private let created: String
    private let model: String
    private let firstText: String
    private let promptTokens: Int
    private let wantsUsage: Bool
    /// The prefill's own answer, the mould for a chat answer in one piece.
    private let answer: JSONView?
    private let fingerprint: String?

    /// Creates a merge for a usable answer.
    package init(_ request: GenerationRequest, answer: PrefillAnswer) {
        endpoint = request.endpoint
        id = answer.json?["id"]?.rawString ?? "null"
        created = answer.json?["created"]?.rawString ?? "0"
        model = answer.json?["model"]?.rawString ?? "null"
        firstText = Self.text(of: answer, endpoint: request.endpoint) ?? ""
        promptTokens = answer.promptTokenCount ?? 0
        wantsUsage = Self.wantsUsage(request)
        self.answer = answer.json
        fingerprint = answer.json?["system_fingerprint"]?.rawString
    }

    // MARK: Which requests

    /// Why a request must be served by the decoder alone; nil where its first token can come from the prefill engine.
    package static func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        let members = request.members
        if request.choices != 1 || (members.int("best_of") ?? 1) > 1 { return .severalChoices }
        if members.isPresent("logprobs") && members.bool("logprobs") != false { return .firstTokenLogprobs }
        if members.isMeaningful("stop") || members.isMeaningful("bad_words") { return .firstTokenStop }
        for field in structuring where members.isMeaningful(field) { return .firstTokenStructured }
        if members.isPresent("response_format"), members.json("response_format")?["type"]?.string != "text" {
            return .firstTokenStructured
        }
        if members.isPresent("seed") { return .firstTokenSampling }
        for field in historyDependent where members.isMeaningful(field) { return .firstTokenSampling }
        if members.isPresent("repetition_penalty"), members.int("repetition_penalty") != 1 {
            return .firstTokenSampling
        }
        for field in wholeOutput where members.isMeaningful(field) { return .firstTokenOption }
        if members.isPresent("truncate_prompt_tokens") || members.isPresent("suffix") { return .firstTokenOption }
        if members.json("stream_options")?["continuous_usage_stats"]?.bool == true { return .firstTokenOption }
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
        guard let choice = answer.choice, let text = text(of: answer, endpoint: request.endpoint),
            answer.firstToken != nil, answer.promptTokens != nil, let promptTokens = answer.promptTokenCount
        else { return .unusable }
        // More than the context holds: the decoder shall answer with its own error, before anything was streamed.
        let limit = request.tokenLimit ?? (request.endpoint == .completions ? 16 : nil)
        if let limit, let context = answer.contextLength, limit > context - promptTokens { return .unusable }
        let finish = choice["finish_reason"]?.string
        if finish == "stop" { return .complete }
        // Half a character, or a token that is hidden: its text is only known together with the next.
        if text.isEmpty || text.unicodeScalars.contains("\u{FFFD}") { return .unusable }
        if let limit = request.tokenLimit, limit <= 1 { return .complete }
        guard let contextLength = answer.contextLength else {
            return request.endpoint == .chatCompletions && request.tokenLimit == nil ? .unusable : .ready
        }
        return promptTokens + 1 >= contextLength ? .complete : .ready
    }

    private static func text(of answer: PrefillAnswer, endpoint: GenerationRequest.Endpoint) -> String? {
        guard let choice = answer.choice else { return nil }
        if endpoint == .completions { return choice["text"]?.string }
        guard let message = choice["message"] else { return nil }
        for field in ["reasoning", "reasoning_content", "tool_calls"] {
            // A parser took the token: `[]` is what engines write where there are no tool calls.
            if let value = message[field], !value.isNull, value.rawString != "[]" { return "" }
        }
        return message["content"]?.string ?? ""
    }

    private static func wantsUsage(_ request: GenerationRequest) -> Bool {
        request.members.json("stream_options")?["include_usage"]?.bool ?? false
    }

    // MARK: The decode leg

    private static let chatOnly: [StaticString] = [
        "messages", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "response_format",
        "chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "documents",
        "reasoning_effort", "include_reasoning", "logprobs", "top_logprobs", "mm_processor_kwargs", "functions",
        "function_call",
    ]

    /// The splice that turns the client's request into a completion of prompt ids and first token.
    static func decodeSplice(_ request: GenerationRequest, answer: PrefillAnswer) -> JSONSplice {
        var splice = LegRewriting.splice(strippingFrom: request)
        let members = request.members
        if request.endpoint == .chatCompletions {
            for field in chatOnly where members.raw(field) != nil { splice.remove(field) }
        }
        if members.raw("add_special_tokens") != nil { splice.remove("add_special_tokens") }
        var prompt = Array(answer.promptTokens?.raw.dropLast() ?? [UInt8(ascii: "[")])
        if prompt.count > 1 { prompt.append(UInt8(ascii: ",")) }
        prompt.append(contentsOf: Array("\(answer.firstToken ?? 0)]".utf8))
        splice.set("prompt", json: prompt)
        splice.set("max_tokens", json: "\(max(1, (request.tokenLimit ?? defaultLimit(request, answer)) - 1))")
        if request.minimumTokens > 0 {
            splice.set("min_tokens", json: "\(request.minimumTokens - 1)")
        }
        return splice
    }

    /// What the engine allows where the client names no limit: 16 for completions, the rest of the context for chat.
    ///
    /// Source: vLLM 0.33.0 `openai/completion/protocol.py` 64. The engine caps a chat's limit by its own context.
    private static func defaultLimit(_ request: GenerationRequest, _ answer: PrefillAnswer) -> Int {
        guard request.endpoint == .chatCompletions else { return 16 }
        return max(2, (answer.contextLength ?? 0) - (answer.promptTokenCount ?? 0))
    }

    // MARK: A stream

    /// The stream's first bytes, sent as soon as the prefill answered.
    ///
    /// - Parameter complete: whether the first token was the last; then the stream ends here.
    package func streamStart(complete: Bool) -> [UInt8] {
        var output: [UInt8] = []
        let choice = answer?["choices"]?[0]
        let finish = complete ? choice?["finish_reason"]?.rawString ?? "null" : "null"
        let stop = complete ? choice?["stop_reason"]?.rawString ?? "null" : "null"
        switch endpoint {
        case .completions:
            let text = JSONString.encode(firstText)
            var event = chunkHead("text_completion")
            event += #""choices":[{"index":0,"text":\#(text),"logprobs":null,"finish_reason":\#(finish),"#
            event += #""stop_reason":\#(stop),"prompt_token_ids":null,"token_ids":null}]"#
            if complete, let fingerprint { event += #","system_fingerprint":\#(fingerprint)"# }
            Self.append(event + "}", to: &output)
        case .chatCompletions:
            Self.append(
                chunkHead("chat.completion.chunk")
                    + #""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"#
                    + #""finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}"#, to: &output)
            if complete {
                Self.append(chatChunk(text: firstText, finish: finish, stop: stop), to: &output)
            } else {
                Self.append(chatChunk(text: firstText, finish: nil, stop: nil), to: &output)
            }
        }
        if complete {
            if wantsUsage { Self.append(usageChunk(completionTokens: 1, usage: nil), to: &output) }
            output.append(contentsOf: Array("data: [DONE]\n\n".utf8))
        }
        return output
    }

    /// One event of the decoder's stream, as the client shall see it.
    package func streamEvent(_ data: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        guard data != Array("[DONE]".utf8), let event = try? JSONView(parsing: data), event["error"] == nil else {
            Self.append(String(decoding: data, as: UTF8.self), to: &output)
            return output
        }
        guard let choice = event["choices"]?[0] else {
            let completed = (PrefillAnswer.tokenCount(event["usage"]?["completion_tokens"]) ?? 0) + 1
            Self.append(usageChunk(completionTokens: completed, usage: event["usage"]), to: &output)
            return output
        }
        switch endpoint {
        case .completions:
            var splice = JSONSplice()
            splice.set("id", json: id)
            splice.set("created", json: created)
            let spliced = splice.applied(to: data) ?? data
            Self.append(String(decoding: spliced, as: UTF8.self), to: &output)
        case .chatCompletions:
            let finish = choice["finish_reason"].flatMap { $0.isNull ? nil : $0.rawString }
            Self.append(
                chatChunk(
                    text: choice["text"]?.string ?? "", finish: finish, stop: choice["stop_reason"]?.rawString),
                to: &output)
        }
        return output
    }

    private func chunkHead(_ object: String) -> String {
        #"{"id":\#(id),"object":"\#(object)","created":\#(created),"model":\#(model),"#
    }

    private func chatChunk(text: String, finish: String?, stop: String?) -> String {
        var chunk = chunkHead("chat.completion.chunk")
        chunk += #""choices":[{"index":0,"delta":{"content":\#(JSONString.encode(text))},"logprobs":null,"#
        if let finish {
            chunk += #""finish_reason":\#(finish),"stop_reason":\#(stop ?? "null"),"token_ids":null}]}"#
        } else {
            chunk += #""finish_reason":null,"token_ids":null}]}"#
        }
        return chunk
    }

    private func usageChunk(completionTokens: Int, usage: JSONView?) -> String {
        let object = endpoint == .completions ? "text_completion" : "chat.completion.chunk"
        var chunk = chunkHead(object) + #""choices":[],"usage":"#
        chunk += mergedUsage(completionTokens: completionTokens, usage: usage)
        if let fingerprint { chunk += #","system_fingerprint":\#(fingerprint)"# }
        return chunk + "}"
    }

    /// The prompt as the prefill engine counted it, the completion as the client got it.
    private func mergedUsage(completionTokens: Int, usage: JSONView?) -> String {
        var splice = JSONSplice()
        splice.set("prompt_tokens", json: "\(promptTokens)")
        splice.set("total_tokens", json: "\(promptTokens + completionTokens)")
        splice.set("completion_tokens", json: "\(completionTokens)")
        let base = usage.map { Array($0.raw) } ?? Array("{}".utf8)
        return String(decoding: splice.applied(to: base) ?? base, as: UTF8.self)
    }

    private static func append(_ event: String, to output: inout [UInt8]) {
        output.append(contentsOf: Array("data: ".utf8))
        output.append(contentsOf: Array(event.utf8))
        output.append(contentsOf: [0x0A, 0x0A])
    }

    // MARK: An answer in one piece

    /// The whole answer, from the prefill's alone where `decode` is nil.
    ///
    /// - Returns: nil where the decoder's answer has not the shape of one choice; it is then passed on as it came.
    package func wholeAnswer(decode: [UInt8]?) -> [UInt8]? {
        guard let answer, let choice = answer["choices"]?[0] else { return nil }
        var choiceSplice = JSONSplice()
        var splice = JSONSplice()
        for field in ["prompt_token_ids", "token_ids"] as [StaticString] where choice["\(field)"] != nil {
            choiceSplice.set(field, json: "null")
        }
        if let decode {
            guard let view = try? JSONView(parsing: decode), let continued = view["choices"]?[0],
                let text = continued["text"]?.string, view["choices"]?.elements.count == 1
            else { return nil }
            let joined = JSONString.encode(firstText + text)
            if endpoint == .completions {
                choiceSplice.set("text", json: joined)
            } else if let message = choice["message"] {
                var messageSplice = JSONSplice()
                messageSplice.set("content", json: joined)
                if let spliced = messageSplice.applied(to: Array(message.raw)) {
                    choiceSplice.set("message", json: spliced)
                }
            }
            choiceSplice.set("finish_reason", json: continued["finish_reason"]?.rawString ?? "null")
            choiceSplice.set("stop_reason", json: continued["stop_reason"]?.rawString ?? "null")
            let completed = (PrefillAnswer.tokenCount(view["usage"]?["completion_tokens"]) ?? 0) + 1
            splice.set("usage", json: mergedUsage(completionTokens: completed, usage: answer["usage"]))
        }
        guard let newChoice = choiceSplice.applied(to: Array(choice.raw)) else { return nil }
        splice.set("choices", json: [UInt8(ascii: "[")] + newChoice + [UInt8(ascii: "]")])
        if answer["prompt_token_ids"] != nil { splice.set("prompt_token_ids", json: "null") }
        splice.set("kv_transfer_params", json: "null")
        return splice.applied(to: Array(answer.raw))
    }
}
