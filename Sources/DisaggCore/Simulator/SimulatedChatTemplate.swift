/// Chat messages to prompt tokens, in the manner of Llama 3's template.
///
/// Everything a real template may read changes the tokens: roles, contents, tool calls, tool definitions,
/// `chat_template_kwargs`, `add_generation_prompt` and `continue_final_message`.
enum SimulatedChatTemplate {
    /// The prompt's tokens.
    ///
    /// - Parameter fields: the members of a chat or tokenize request.
    static func tokens(_ fields: [String: JSONView], path: String) throws(SimulatedAPIError) -> [Int] {
        guard let messages = fields["messages"], messages.kind == .array else {
            throw .validation(
                "'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {}",
                location: "body.messages", path: path)
        }
        let tokenizer = SimulatedTokenizer.shared
        var result = [SimulatedVocabulary.beginOfText]
        func section(_ role: String, _ text: String, closed: Bool = true) {
            result.append(SimulatedVocabulary.startHeader)
            result.append(contentsOf: tokenizer.tokenize(role))
            result.append(SimulatedVocabulary.endHeader)
            // Two line ends one by one: what the captured prompt has before a message's text (fixture 07).
            result.append(contentsOf: [10, 10])
            result.append(contentsOf: tokenizer.tokenize(text))
            if closed { result.append(SimulatedVocabulary.endOfTurn) }
        }
        for name in ["tools", "documents", "chat_template_kwargs"] {
            guard let value = fields[name], !value.isNull, value.rawString != "[]", value.rawString != "{}" else {
                continue
            }
            section(name, value.rawString)
        }
        let continued = fields["continue_final_message"]?.bool ?? false
        let all = messages.elements
        for (index, message) in all.enumerated() {
            guard let role = message["role"]?.string else {
                throw .validation(
                    "'type': 'missing', 'loc': ('body', 'messages', \(index), 'role'), 'msg': 'Field required', 'input': {}",
                    location: "body.messages.\(index).role", path: path)
            }
            section(role, text(of: message), closed: !(continued && index == all.count - 1))
        }
        if fields["add_generation_prompt"]?.bool ?? true, !continued {
            result.append(SimulatedVocabulary.startHeader)
            result.append(contentsOf: tokenizer.tokenize("assistant"))
            result.append(SimulatedVocabulary.endHeader)
            result.append(5083)
        }
        return result
    }

    private static func text(of message: JSONView) -> String {
        var parts: [String] = []
        if let content = message["content"] {
            if let text = content.string {
                parts.append(text)
            } else {
                for part in content.elements { parts.append(part["text"]?.string ?? part.rawString) }
            }
        }
        for name in ["name", "tool_calls", "tool_call_id", "reasoning"] {
            if let value = message[name], !value.isNull { parts.append(value.rawString) }
        }
        return parts.joined(separator: "\n")
    }
}
