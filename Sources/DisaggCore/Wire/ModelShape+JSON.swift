extension ModelShape {
    /// Why a `config.json` gives no shape.
    public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
        /// What is wrong, in lower case.
        public var description: String
    }

    /// Reads a Hugging Face `config.json`.
    ///
    /// The language model's part is taken where the file has one (`text_config`). Sizes have upper bounds, so no product
    /// of them overflows.
    /// - Throws: ``ConfigurationError`` where the text is no JSON object, a size is missing, or it is out of range.
    public init(configJSON text: String) throws(ConfigurationError) {
        let root: JSONView
        do throws(JSONSyntaxError) {
            root = try JSONView(parsing: text)
        } catch {
            throw ConfigurationError(description: "not JSON: \(error.reason) at byte \(error.offset)")
        }
        guard root.kind == .object else { throw ConfigurationError(description: "expected a JSON object") }
        let nested = ["text_config", "llm_config", "language_config"].lazy.compactMap { root[$0] }
            .first { $0.kind == .object }
        let fields = ModelConfigurationFields(root["num_hidden_layers"] == nil ? nested ?? root : root)
        let layers = try fields.size(["num_hidden_layers", "n_layer", "num_layers"], atMost: 1024)
        let hidden = try fields.size(["hidden_size", "n_embd", "d_model"], atMost: 1 << 17)
        let heads = try fields.size(["num_attention_heads", "n_head"], atMost: 4096)
        let kvHeads = try fields.optional(["num_key_value_heads", "num_kv_heads"], atMost: 4096)
        let head = try fields.optional(["head_dim"], atMost: 4096) ?? max(1, hidden / heads)
        let feedForward = try fields.optional(
            ["intermediate_size", "ffn_dim", "n_inner", "intermediate_size_mlp"], atMost: 1 << 19)
        let expertSize = try fields.optional(
            ["moe_intermediate_size", "expert_ffn_hidden_size"], atMost: 1 << 19)
        let multiQuery = fields.view["multi_query"]?.bool == true
        self.init(
            layers: layers, hiddenSize: hidden, attentionHeads: heads, kvHeads: kvHeads ?? (multiQuery ? 1 : heads),
            headDimension: head, feedForwardSize: feedForward ?? expertSize ?? 4 * hidden,
            vocabulary: try fields.size(["vocab_size"], atMost: 1 << 22))
        tiesEmbeddings = fields.view["tie_word_embeddings"]?.bool ?? Self.tiesByDefault(fields.view)
        hasGatedFeedForward = !["opt", "gpt2", "gpt_neox", "gpt_bigcode", "falcon", "bloom", "phi"].contains(
            fields.view["model_type"]?.string ?? "")
        maximumPositions = try fields.optional(["max_position_embeddings", "n_positions"], atMost: 1 << 30)
        latent = try fields.latentAttention()
        experts = try fields.experts(layers: layers, expertSize: expertSize ?? feedForward)
        draftLayers = try fields.optional(["num_nextn_predict_layers", "mtp_num_hidden_layers"], atMost: 64) ?? 0
        readLayerKinds(fields)
        let dtype = ["torch_dtype", "dtype"].lazy.compactMap { fields.view[$0]?.string ?? root[$0]?.string }.first
        valueBytes = dtype == "float32" ? 4 : 2
        readQuantization(root["quantization_config"] ?? fields.view["quantization_config"])
    }

    /// The families whose `config.json` leaves the field out when they tie, as `transformers` does.
    private static func tiesByDefault(_ view: JSONView) -> Bool {
        ["opt", "gpt2", "gemma", "gemma2", "gemma3", "gemma3_text"].contains(view["model_type"]?.string ?? "")
    }

    private mutating func readLayerKinds(_ fields: ModelConfigurationFields) {
        let window = fields.view["sliding_window"]?.int ?? fields.view["sliding_window_size"]?.int
        let kinds = fields.view["layer_types"]?.elements.prefix(1024).compactMap(\.string) ?? []
        stateLayers = min(layers, kinds.count { ["linear_attention", "mamba", "recurrent"].contains($0) })
        guard let window, window > 0, fields.view["use_sliding_window"]?.bool != false else { return }
        slidingWindow = min(window, 1 << 30)
        if !kinds.isEmpty {
            slidingLayers = min(layers, kinds.count { $0 == "sliding_attention" })
        } else if let pattern = fields.view["sliding_window_pattern"]?.int, pattern > 0 {
            slidingLayers = layers - layers / pattern
        } else {
            slidingLayers = fields.view["model_type"]?.string == "gemma2" ? layers / 2 : layers
        }
    }

    private mutating func readQuantization(_ view: JSONView?) {
        guard let view, view.kind == .object else { return }
        let method = view["quant_method"]?.string ?? view["quant_algo"]?.string ?? "unknown"
        quantization = method
        let bits = view["bits"]?.int ?? view["w_bit"]?.int ?? Self.groupBits(view)
        if let bits, [2, 3, 4, 5, 6, 8, 16].contains(bits) {
            quantizedBits = bits == 16 ? nil : bits
        } else if view["load_in_4bit"]?.bool == true || ["awq", "gptq", "mxfp4", "nvfp4"].contains(method.lowercased())
            || (view["quant_algo"]?.string ?? "").contains("FP4")
        {
            quantizedBits = 4
        } else {
            quantizedBits = 8
        }
    }

    /// Bits of the first group of `compressed-tensors`.
    private static func groupBits(_ view: JSONView) -> Int? {
        var bits: Int?
        view["config_groups"]?.forEachMember { _, group in bits = bits ?? group["weights"]?["num_bits"]?.int }
        return bits
    }
}
