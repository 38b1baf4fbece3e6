/// The bytes of `/v1/messages` answers: events and keys of fixture 20.
struct MessagesEncoder {
    var context: AnswerContext
    private var hasBegun = false
    private var stopReason = "end_turn"

    init(context: AnswerContext) { self.context = context }

    /// The event ahead of everything else.
    func start() -> String {
        AnswerContext.event(
            #"{"type":"message_start","message":{"id":\#(JSONString.encode(context.id)),"type":"message","#
                + #""role":"assistant","content":[],"model":\#(JSONString.encode(context.model)),"stop_reason":null,"#
                + #""stop_sequence":null,"usage":\#(usage(completionTokens: 0))}}"#, named: "message_start")
    }

    /// The text's delta, where there is text; ahead of the first token the event that opens the block.
    mutating func events(_ piece: GeneratedPiece) -> [String] {
        var events: [String] = []
        if !hasBegun {
            hasBegun = true
            events.append(
                AnswerContext.event(
                    #"{"type":"content_block_start","content_block":{"type":"text","text":""},"index":0}"#,
                    named: "content_block_start"))
        }
        if let reason = piece.finish { stopReason = Self.stopReason(reason) }
        if !piece.text.isEmpty {
            events.append(
                AnswerContext.event(
                    #"{"type":"content_block_delta","delta":{"type":"text_delta","#
                        + #""text":\#(JSONString.encode(piece.text))},"index":0}"#, named: "content_block_delta"))
        }
        return events
    }

    /// The events that close block and message.
    func end(completionTokens: Int) -> [String] {
        [
            AnswerContext.event(#"{"type":"content_block_stop","index":0}"#, named: "content_block_stop"),
            AnswerContext.event(
                #"{"type":"message_delta","delta":{"stop_reason":"\#(stopReason)"},"#
                    + #""usage":\#(usage(completionTokens: completionTokens))}"#, named: "message_delta"),
            AnswerContext.event(#"{"type":"message_stop"}"#, named: "message_stop"),
        ]
    }

    /// The answer that is no stream; nulls are left out (vLLM 0.33.0 `anthropic/api_router.py` 83).
    func body(_ choice: JoinedChoice, transfer: String) -> String {
        let parameters = transfer == "null" ? "" : #","kv_transfer_params":\#(transfer)"#
        return #"{"id":\#(JSONString.encode(context.id)),"type":"message","role":"assistant","#
            + #""content":[{"type":"text","text":\#(JSONString.encode(choice.text))}],"#
            + #""model":\#(JSONString.encode(context.model)),"#
            + #""stop_reason":"\#(Self.stopReason(choice.finish ?? .length))","#
            + #""usage":\#(usage(completionTokens: choice.tokens.count))\#(parameters)}"#
    }

    private func usage(completionTokens: Int) -> String {
        let cached = context.cachedTokens.map { #","cache_read_input_tokens":\#($0)"# } ?? ""
        return #"{"input_tokens":\#(context.request.promptTokens),"output_tokens":\#(completionTokens)\#(cached)}"#
    }

    private static func stopReason(_ reason: FinishReason) -> String {
        switch reason {
        case .length: "max_tokens"
        case .toolCalls: "tool_use"
        case .stop, .notFinished, .abort, .error: "end_turn"
        }
    }
}
