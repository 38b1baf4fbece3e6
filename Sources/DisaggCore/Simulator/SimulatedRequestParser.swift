/// Reads generation requests with vLLM's defaults and vLLM's refusals.
///
/// Source: vLLM 0.24 to 0.33, `openai/completion/protocol.py`, `sampling_params.py` 691-704; fixtures 10, 13 to 16.
struct SimulatedRequestParser {
    var model: String
    /// Tokens a prompt and its answer may have together.
    var maximumModelLength: Int

    private static let routerFields = [
        "bootstrap_host", "bootstrap_port", "bootstrap_room", "routed_dp_rank", "disagg_prefill_dp_rank",
        "disaggregated_params",
    ]

    /// Members of the body by name; the last where one is given twice. A `null` member reads as absent.
    static func fields(_ body: [UInt8], path: String) throws(SimulatedAPIError) -> [String: JSONView] {
        let view: JSONView
        do throws(JSONSyntaxError) {
            view = try JSONView(parsing: body)
        } catch {
            let reason =
                body.first == UInt8(ascii: "{") && error.offset <= 1
                ? "Expecting property name enclosed in double quotes" : "Expecting value"
            throw .validation(
                "'type': 'json_invalid', 'loc': ('body', \(error.offset)), 'msg': 'JSON decode error', 'input': {}, "
                    + "'ctx': {'error': '\(reason)'}", location: "body.\(error.offset)", path: path)
        }
        guard view.kind == .object else {
            throw .validation(
                "'type': 'model_attributes_type', 'loc': ('body',), "
                    + "'msg': 'Input should be a valid dictionary or object to extract fields from'",
                location: "body", path: path)
        }
        var fields: [String: JSONView] = [:]
        view.forEachMember { name, value in fields[name] = value.isNull ? nil : value }
        return fields
    }

    /// Checks a request.
    func parse(_ fields: [String: JSONView], endpoint: SimulatedRequest.Endpoint) throws(SimulatedAPIError)
        -> SimulatedRequest
    {
        let fields = try unified(fields, endpoint)
        let reader = FieldReader(fields: fields, path: endpoint.path)
        if let model = try reader.string("model"), model != self.model { throw .unknownModel(model) }
        var request = SimulatedRequest(endpoint: endpoint, prompts: [])
        request.isStream = try reader.bool("stream") ?? false
        if let options = fields["stream_options"] {
            guard request.isStream else {
                throw .validation(
                    "'type': 'value_error', 'loc': ('body',), 'msg': "
                        + "'Value error, Stream options can only be defined when `stream=True`.'",
                    location: "stream_options", path: endpoint.path)
            }
            request.includesUsage = options["include_usage"]?.bool ?? false
            request.includesContinuousUsage =
                request.includesUsage && (options["continuous_usage_stats"]?.bool ?? false)
        }
        request.maximumTokens = try reader.int("max_tokens")
        // Chat has an `echo` too, which repeats the last message of the same role; it is not simulated.
        let echoes = try reader.bool("echo") ?? false
        request.echoes = echoes && endpoint == .completion
        switch endpoint {
        case .completion: request.maximumTokens = request.maximumTokens ?? 16
        case .chat:
            // The newer name wins where both are given.
            if let maximum = try reader.int("max_completion_tokens") { request.maximumTokens = maximum }
        case .native:
            request.isBatch = (fields["text"] ?? fields["input_ids"])?.elements.contains { $0.int == nil } ?? false
            request.returnsLogprobs = try reader.bool("return_logprob") ?? false
            request.logprobStart = try reader.int("logprob_start_len") ?? -1
        case .responses, .messages, .tokens: break
        }
        request.minimumTokens = try reader.int("min_tokens") ?? 0
        request.choices = try reader.int("n") ?? 1
        request.ignoresEnd = try reader.bool("ignore_eos") ?? false
        request.includesStop = try reader.bool("include_stop_str_in_output") ?? false
        request.returnsTokenIDs = try reader.bool("return_token_ids") ?? false
        request.stops = try reader.strings("stop")
        request.stopTokens = Set(try reader.integers("stop_token_ids"))
        let temperature = try reader.double("temperature") ?? 1
        request.seed = temperature > 0 ? try reader.int("seed") : nil
        // Any of the three comes to the engine; the request's own field is put over the others.
        let transfer =
            fields["kv_transfer_params"] ?? fields["vllm_xargs"]?["kv_transfer_params"]
            ?? fields["sampling_params"]?["extra_args"]?["kv_transfer_params"]
        request.transfer = transfer.flatMap { $0.kind == .object ? $0 : nil }
        for name in Self.routerFields { request.routerFields[name] = fields[name] }
        request.logprobs = try logprobs(reader, endpoint)
        try check(request, temperature: temperature)
        request.prompts = try prompts(reader, endpoint)
        try checkLengths(request)
        if endpoint == .chat {
            request.forcedTool = try forcedTool(fields, path: endpoint.path, prompt: request.prompts)
        }
        return request
    }

    private func logprobs(_ reader: FieldReader, _ endpoint: SimulatedRequest.Endpoint) throws(SimulatedAPIError)
        -> Int?
    {
        guard endpoint == .completion || endpoint == .chat else { return nil }
        var count = try reader.int(endpoint == .chat ? "top_logprobs" : "logprobs")
        if endpoint == .chat {
            let isWanted = try reader.bool("logprobs") ?? false
            count = isWanted ? count ?? 0 : nil
        }
        if let count, count > 20 {
            throw .invalid(
                "Requested sample logprobs of \(count), which is greater than max allowed: 20", parameter: "logprobs",
                value: count)
        }
        return count.map { max(0, $0) }
    }

    private func check(_ request: SimulatedRequest, temperature: Double) throws(SimulatedAPIError) {
        if let maximum = request.maximumTokens {
            guard maximum >= 1 || (maximum == 0 && request.echoes) else {
                throw .invalid(
                    "max_tokens must be at least 1, got \(maximum).", parameter: "max_tokens", value: maximum)
            }
            guard maximum <= maximumModelLength else {
                throw .invalid(
                    "max_tokens=\(maximum) cannot be greater than max_model_len=max_total_tokens=\(maximumModelLength). "
                        + "Please request fewer output tokens.", parameter: "max_tokens", value: maximum)
            }
            guard request.minimumTokens <= maximum else {
                throw .badRequest(
                    "min_tokens must be less than or equal to max_tokens=\(maximum), got \(request.minimumTokens).")
            }
        }
        guard request.minimumTokens >= 0 else {
            throw .badRequest("min_tokens must be greater than or equal to 0, got \(request.minimumTokens).")
        }
        guard request.choices >= 1 else { throw .badRequest("n must be at least 1, got \(request.choices).") }
        // `VLLM_MAX_N_SEQUENCES`; a choice costs memory before its first token.
        guard request.choices <= 16_384 else {
            throw .badRequest("n must be at most 16384, got \(request.choices).")
        }
        guard temperature >= 0 else { throw .badRequest("temperature must be non-negative, got \(temperature).") }
        if temperature == 0, request.choices > 1 {
            var error = SimulatedAPIError.badRequest("n must be 1 when using greedy sampling, got \(request.choices).")
            error.hasVary = false
            throw error
        }
        guard !request.stops.contains("") else { throw .badRequest("stop cannot contain an empty string.") }
    }

    private func prompts(_ reader: FieldReader, _ endpoint: SimulatedRequest.Endpoint) throws(SimulatedAPIError)
        -> [[Int]]
    {
        if endpoint == .tokens {
            guard let ids = reader.fields["token_ids"]?.integers else {
                throw .missing("token_ids", path: endpoint.path)
            }
            return [ids]
        }
        if endpoint == .native {
            guard let prompt = reader.fields["text"] ?? reader.fields["input_ids"] else {
                throw .badRequest("Either text, input_ids or input_embeds should be provided.")
            }
            return try prompts(of: prompt, "text", reader)
        }
        if endpoint != .completion {
            // Ids the proxy already has replace the template's (vLLM 0.33, renderers/online_renderer.py 112-157).
            if let ids = reader.fields["kv_transfer_params"]?["prompt_token_ids"]?.integers, !ids.isEmpty {
                return [ids]
            }
            // TensorRT-LLM: the context server's ids save a second tokenization.
            if reader.fields["disaggregated_params"] != nil, let ids = reader.fields["prompt_token_ids"]?.integers,
                !ids.isEmpty
            {
                return [ids]
            }
            return [
                try SimulatedChatTemplate.tokens(try chatFields(reader.fields, endpoint), path: endpoint.path)
            ]
        }
        guard let prompt = reader.fields["prompt"] else {
            throw .badRequest("Either prompt or prompt_embeds must be provided and non-empty.", parameter: "prompt")
        }
        return try prompts(of: prompt, "prompt", reader)
    }

    /// One prompt or a list, each text or token ids.
    private func prompts(of prompt: JSONView, _ name: String, _ reader: FieldReader) throws(SimulatedAPIError)
        -> [[Int]]
    {
        let tokenizer = SimulatedTokenizer.shared
        if let text = prompt.string { return [tokenizer.tokenize(text)] }
        if let ids = prompt.integers, !ids.isEmpty { return [ids] }
        var result: [[Int]] = []
        for element in prompt.elements {
            if let text = element.string {
                result.append(tokenizer.tokenize(text))
            } else if let ids = element.integers {
                result.append(ids)
            } else {
                throw reader.wrongType(name, "string_type", "Input should be a valid string")
            }
        }
        guard !result.isEmpty else {
            throw .badRequest("Either prompt or prompt_embeds must be provided and non-empty.", parameter: "prompt")
        }
        return result
    }

    private func checkLengths(_ request: SimulatedRequest) throws(SimulatedAPIError) {
        for prompt in request.prompts {
            guard !prompt.isEmpty else { throw .badRequest("The decoder prompt cannot be empty") }
            if let outside = prompt.first(where: { $0 < 0 || $0 >= SimulatedVocabulary.size }) {
                throw .badRequest("Token id \(outside) is out of vocabulary")
            }
            let output = request.maximumTokens ?? 0
            let needed = prompt.count + max(output, request.echoes ? 0 : 1)
            guard needed <= maximumModelLength else {
                throw .invalid(
                    "This model's maximum context length is \(maximumModelLength) tokens. However, you requested "
                        + "\(output) output tokens and your prompt contains \(prompt.count) input tokens, for a total of "
                        + "\(prompt.count + output) tokens. Please reduce the length of the input prompt or the number "
                        + "of requested output tokens.", parameter: "input_tokens", value: prompt.count)
            }
        }
    }

    private func forcedTool(_ fields: [String: JSONView], path: String, prompt: [[Int]]) throws(SimulatedAPIError)
        -> SimulatedRequest.ForcedTool?
    {
        guard let choice = fields["tool_choice"], choice.string != "none", choice.string != "auto" else { return nil }
        let names = fields["tools"]?.elements.compactMap { $0["function"]?["name"]?.string } ?? []
        if choice.string == "required", !names.isEmpty {
            let pick = TokenHistory(prompt.first ?? []).hash % UInt64(names.count)
            return .init(name: names[Int(pick)], isNamed: false)
        }
        guard let name = choice["function"]?["name"]?.string, names.contains(name) else {
            throw .validation(
                "'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, The tool specified in `tool_choice` does "
                    + "not match any of the specified `tools`'", location: "body", path: path)
        }
        return .init(name: name, isNamed: true)
    }
}
