/// Reads sizes out of a `config.json` under the names that different families use.
struct ModelConfigurationFields {
    /// The object that holds the sizes.
    let view: JSONView

    init(_ view: JSONView) { self.view = view }

    /// A positive size that must be there.
    func size(_ names: [String], atMost limit: Int) throws(ModelShape.ConfigurationError) -> Int {
        guard let value = try optional(names, atMost: limit) else {
            throw ModelShape.ConfigurationError(description: "\(names.first ?? "") is missing")
        }
        return value
    }

    /// A positive size; nil where it is absent, `null` or 0.
    func optional(_ names: [String], atMost limit: Int) throws(ModelShape.ConfigurationError) -> Int? {
        for name in names {
            guard let member = view[name], !member.isNull else { continue }
            // Some files list a value for each layer; the largest is the safe one for memory.
            let value = member.kind == .array ? member.elements.prefix(1024).compactMap(\.int).max() : member.int
            guard let value, (0...limit).contains(value) else {
                let text = member.rawString.prefix(40)
                throw ModelShape.ConfigurationError(description: "\(name): expected 1...\(limit), got \(text)")
            }
            if value > 0 { return value }
        }
        return nil
    }

    /// DeepSeek's latent attention, nil for others.
    func latentAttention() throws(ModelShape.ConfigurationError) -> ModelShape.LatentAttention? {
        guard let kvRank = try optional(["kv_lora_rank"], atMost: 1 << 16) else { return nil }
        return ModelShape.LatentAttention(
            queryRank: try optional(["q_lora_rank"], atMost: 1 << 16), kvRank: kvRank,
            plainDimension: try optional(["qk_nope_head_dim"], atMost: 4096) ?? 128,
            rotaryDimension: try optional(["qk_rope_head_dim"], atMost: 4096) ?? 64,
            valueDimension: try optional(["v_head_dim"], atMost: 4096) ?? 128)
    }

    /// Experts, nil for a dense model.
    func experts(layers: Int, expertSize: Int?) throws(ModelShape.ConfigurationError) -> ModelShape.Experts? {
        let names = ["n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"]
        guard let count = try optional(names, atMost: 4096), count > 1, let size = expertSize else { return nil }
        let active = try optional(["num_experts_per_tok", "num_experts_per_token", "moe_topk"], atMost: 4096) ?? 1
        var shared = try optional(["shared_expert_intermediate_size"], atMost: 1 << 19) ?? 0
        if let number = try optional(["n_shared_experts", "num_shared_experts"], atMost: 64), shared == 0 {
            shared = number * size
        }
        return ModelShape.Experts(
            count: count, active: min(active, count), size: size, sharedSize: shared,
            denseLayers: min(layers, try optional(["first_k_dense_replace"], atMost: 1024) ?? 0),
            step: try optional(["decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step"], atMost: 1024)
                ?? 1)
    }
}
