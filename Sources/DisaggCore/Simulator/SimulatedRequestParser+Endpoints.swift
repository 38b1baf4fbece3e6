/// What the newer endpoints call things by other names.
extension SimulatedRequestParser {
    /// The fields under the names that completions and chat give them.
    func unified(_ fields: [String: JSONView], _ endpoint: SimulatedRequest.Endpoint) throws(SimulatedAPIError)
        -> [String: JSONView]
    {
        var fields = fields
        switch endpoint {
        case .completion, .chat: break
        case .tokens:
            guard let sampling = fields["sampling_params"], sampling.kind == .object else {
                throw .missing("sampling_params", path: endpoint.path)
            }
            sampling.forEachMember { name, value in if !value.isNull { fields[name] = value } }
            // A default of the sampling parameters themselves, not of the endpoint (`sampling_params.py`).
            if fields["max_tokens"] == nil { fields["max_tokens"] = try? JSONView(parsing: "16") }
        case .native:
            // One object for all, or one for each of a batch; those of a batch are alike here.
            let sampling = fields["sampling_params"]
            (sampling?.elements.first ?? sampling)?.forEachMember { name, value in
                if !value.isNull { fields[name] = value }
            }
            fields["max_tokens"] = try? fields["max_new_tokens"] ?? JSONView(parsing: "128")
            fields["min_tokens"] = fields["min_new_tokens"]
        case .responses:
            fields["max_tokens"] = fields["max_output_tokens"]
            fields["n"] = nil
            if fields["background"]?.bool == true {
                throw .badRequest("This engine does not support the background mode.", parameter: "background")
            }
        case .messages:
            guard fields["max_tokens"] != nil else { throw .missing("max_tokens", path: endpoint.path) }
            for name in ["n", "min_tokens", "ignore_eos", "stop_token_ids", "seed", "return_token_ids"] {
                fields[name] = nil
            }
            fields["stop"] = fields["stop_sequences"]
            try checkThinking(fields, path: endpoint.path)
        }
        return fields
    }

    /// Source: vLLM 0.33.0 `anthropic/protocol.py` 207-215, 352-362.
    private func checkThinking(_ fields: [String: JSONView], path: String) throws(SimulatedAPIError) {
        guard let thinking = fields["thinking"], thinking["type"]?.string == "enabled" else { return }
        let budget = thinking["budget_tokens"]?.int ?? 0
        guard budget >= 1024 else {
            throw .validation(
                "'type': 'greater_than_equal', 'loc': ('body', 'thinking', 'enabled', 'budget_tokens'), "
                    + "'msg': 'Input should be greater than or equal to 1024'",
                location: "body.thinking.enabled.budget_tokens", path: path)
        }
        if fields["kv_transfer_params"]?["do_remote_decode"]?.bool == true { return }
        guard budget < fields["max_tokens"]?.int ?? 0 else {
            throw .validation(
                "'type': 'value_error', 'loc': ('body',), "
                    + "'msg': 'Value error, thinking.budget_tokens must be less than max_tokens'",
                location: "body", path: path)
        }
    }

    /// The fields with the messages that a chat template would get.
    func chatFields(_ fields: [String: JSONView], _ endpoint: SimulatedRequest.Endpoint) throws(SimulatedAPIError)
        -> [String: JSONView]
    {
        var messages: [String] = []
        func system(_ text: JSONView?) {
            if let text { messages.append(#"{"role":"system","content":\#(text.rawString)}"#) }
        }
        switch endpoint {
        case .responses:
            guard let input = fields["input"] else { throw .missing("input", path: endpoint.path) }
            system(fields["instructions"])
            if input.kind == .string {
                messages.append(#"{"role":"user","content":\#(input.rawString)}"#)
            } else {
                messages += input.elements.map(\.rawString)
            }
        case .messages:
            guard let own = fields["messages"], own.kind == .array else { return fields }
            system(fields["system"])
            messages += own.elements.map(\.rawString)
        default: return fields
        }
        var fields = fields
        fields["messages"] = try? JSONView(parsing: "[" + messages.joined(separator: ",") + "]")
        return fields
    }
}
