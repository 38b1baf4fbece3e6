/// The bytes of `/v1/responses` answers: events, keys, order and nulls of fixture 19.
struct ResponsesEncoder {
    var context: AnswerContext
    let fields: AnswerFields
    private var sequenceNumber = 0
    private var text = ""
    private var finish: FinishReason?
    private var transfer = "null"
    private var hasBegun = false

    init(context: AnswerContext, fields: AnswerFields) {
        self.context = context
        self.fields = fields
    }

    /// The two events ahead of everything else.
    mutating func start() -> [String] {
        let response = response(status: "in_progress", output: "", usage: "null", incomplete: "null", transfer: "null")
        return ["response.created", "response.in_progress"].map { event($0, #""response":\#(response)"#) }
    }

    /// The text's delta, where there is text; ahead of the first token the events that open item and part.
    mutating func events(_ piece: GeneratedPiece, transfer: String?) -> [String] {
        var events: [String] = []
        if !hasBegun {
            hasBegun = true
            events.append(
                event(
                    "response.output_item.added",
                    #""item":{"id":"\#(fields.itemID)","content":[],"role":"assistant","status":"in_progress","#
                        + #""type":"message","phase":null},"output_index":0"#))
            events.append(
                event(
                    "response.content_part.added",
                    #""content_index":0,"item_id":"\#(fields.itemID)","output_index":0,"#
                        + #""part":{"annotations":[],"text":"","type":"output_text","logprobs":[]}"#))
        }
        text += piece.text
        if let reason = piece.finish { finish = reason }
        if let transfer { self.transfer = transfer }
        if !piece.text.isEmpty {
            events.append(
                event(
                    "response.output_text.delta",
                    #""content_index":0,"delta":\#(JSONString.encode(piece.text)),"item_id":"\#(fields.itemID)","#
                        + #""logprobs":[],"output_index":0"#))
        }
        return events
    }

    /// The events that close part and item, and the whole response.
    mutating func end(completionTokens: Int) -> [String] {
        let place = #""content_index":0,"item_id":"\#(fields.itemID)","#
        let quoted = JSONString.encode(text)
        return [
            event(
                "response.output_text.done",
                place + #""logprobs":[],"output_index":0"#, last: #""text":\#(quoted),"#),
            event("response.content_part.done", place + #""output_index":0,"part":\#(part(text))"#),
            event(
                "response.output_item.done",
                #""item":{"id":"\#(fields.itemID)","content":[\#(part(text))],"role":"assistant","#
                    + #""status":"completed","type":"message","phase":null,"summary":[]},"output_index":0"#),
            event(
                "response.completed",
                #""response":\#(final(text, finish, completionTokens: completionTokens, transfer: transfer))"#),
        ]
    }

    /// The answer that is no stream.
    func body(_ choice: JoinedChoice, transfer: String) -> String {
        final(choice.text, choice.finish, completionTokens: choice.tokens.count, transfer: transfer)
    }

    private func part(_ text: String) -> String {
        #"{"annotations":[],"text":\#(JSONString.encode(text)),"type":"output_text","logprobs":null}"#
    }

    private mutating func event(_ type: String, _ members: String, last: String = "") -> String {
        let json = #"{\#(members),"sequence_number":\#(sequenceNumber),\#(last)"type":"\#(type)"}"#
        sequenceNumber += 1
        return AnswerContext.event(json, named: type)
    }

    private func final(_ text: String, _ finish: FinishReason?, completionTokens: Int, transfer: String) -> String {
        let isCut = finish == .length
        let prompt = context.request.promptTokens
        let output =
            #"{"id":"msg_\#(fields.messageID)","content":[\#(part(text))],"role":"assistant","status":"completed","#
            + #""type":"message","phase":null}"#
        let usage =
            #"{"input_tokens":\#(prompt),"input_tokens_details":{"cached_tokens":\#(context.cachedTokens ?? 0),"#
            + #""input_tokens_per_turn":[],"cached_tokens_per_turn":[]},"output_tokens":\#(completionTokens),"#
            + #""output_tokens_details":{"reasoning_tokens":0,"tool_output_tokens":0,"output_tokens_per_turn":[],"#
            + #""tool_output_tokens_per_turn":[]},"total_tokens":\#(prompt + completionTokens)}"#
        return response(
            status: isCut ? "incomplete" : "completed", output: output, usage: usage,
            incomplete: isCut ? #"{"reason":"max_output_tokens"}"# : "null", transfer: transfer)
    }

    private func response(
        status: String, output: String, usage: String, incomplete: String, transfer: String
    ) -> String {
        let tools = fields.request["tools"]?.rawString ?? "[]"
        let choice = tools == "[]" ? #""none""# : fields.request["tool_choice"]?.rawString ?? #""auto""#
        func number(_ name: String, _ standard: Double) -> Double { fields.request[name]?.double ?? standard }
        let limit = context.request.maximumTokens ?? fields.defaultLimit
        return #"{"id":\#(JSONString.encode(context.id)),"created_at":\#(context.created),"#
            + #""incomplete_details":\#(incomplete),"instructions":\#(fields.raw("instructions")),"#
            + #""metadata":\#(fields.raw("metadata")),"model":\#(JSONString.encode(context.model)),"object":"response","#
            + #""output":[\#(output)],"parallel_tool_calls":true,"temperature":\#(number("temperature", 1)),"#
            + #""tool_choice":\#(choice),"tools":\#(tools),"top_p":\#(number("top_p", 1)),"background":false,"#
            + #""max_output_tokens":\#(limit),"max_tool_calls":null,"previous_response_id":null,"prompt":null,"#
            + #""reasoning":null,"service_tier":"auto","status":"\#(status)","text":null,"top_logprobs":null,"#
            + #""truncation":"disabled","usage":\#(usage),"user":\#(fields.raw("user")),"presence_penalty":0.0,"#
            + #""frequency_penalty":0.0,"kv_transfer_params":\#(transfer),"input_messages":null,"output_messages":null}"#
    }
}
