/// What decides how many bytes of KV cache one token takes.
///
/// Shapes are those of the models' published `config.json`; the products were checked against LMCache 0.5.6's own
/// calculation.
package struct KVCacheShape: Sendable, Hashable {
    /// Transformer layers.
    package var layers: Int
    /// Key/value heads of the whole model; 1 for a latent (MLA) cache.
    package var kvHeads: Int
    /// Values of one head; for MLA `kv_lora_rank` plus the rope part.
    package var headDimension: Int
    /// Whether keys and values share one latent vector (MLA), which every rank holds whole.
    package var isLatent = false
    /// Bytes of one value; 2 for bfloat16.
    package var valueBytes = 2

    /// Bytes of one token's KV cache in one rank.
    ///
    /// - Parameters:
    ///   - tensorParallel: ranks that share the heads; a head is never split.
    ///   - pipelineParallel: stages that share the layers; the largest stage counts.
    package func bytesPerToken(tensorParallel: Int = 1, pipelineParallel: Int = 1) -> Int {
        let stages = max(1, pipelineParallel)
        let stageLayers = (layers + stages - 1) / stages
        let heads = isLatent ? 1 : max(1, kvHeads / max(1, tensorParallel))
        return (isLatent ? 1 : 2) * stageLayers * heads * headDimension * valueBytes
    }

    /// The shape of a known model, nil for others.
    ///
    /// The last part of the name decides (`meta-llama/Llama-3.1-8B-Instruct`), so local paths work too.
    package static func named(_ model: String) -> KVCacheShape? {
        let last = model.split(separator: "/").last.map { $0.lowercased() } ?? ""
        return table.first { last.hasPrefix($0.prefix) || last.hasPrefix("meta-" + $0.prefix) }?.shape
    }

    private static let table: [(prefix: String, shape: KVCacheShape)] = [
        ("llama-3.2-1b", KVCacheShape(layers: 16, kvHeads: 8, headDimension: 64)),
        ("llama-3.2-3b", KVCacheShape(layers: 28, kvHeads: 8, headDimension: 128)),
        ("llama-3.1-8b", KVCacheShape(layers: 32, kvHeads: 8, headDimension: 128)),
        ("llama-3-8b", KVCacheShape(layers: 32, kvHeads: 8, headDimension: 128)),
        ("llama-3.1-70b", KVCacheShape(layers: 80, kvHeads: 8, headDimension: 128)),
        ("llama-3.3-70b", KVCacheShape(layers: 80, kvHeads: 8, headDimension: 128)),
        ("qwen2.5-0.5b", KVCacheShape(layers: 24, kvHeads: 2, headDimension: 64)),
        ("qwen2.5-7b", KVCacheShape(layers: 28, kvHeads: 4, headDimension: 128)),
        ("qwen3-8b", KVCacheShape(layers: 36, kvHeads: 8, headDimension: 128)),
        ("qwen3-32b", KVCacheShape(layers: 64, kvHeads: 8, headDimension: 128)),
        ("deepseek-v3", KVCacheShape(layers: 61, kvHeads: 1, headDimension: 576, isLatent: true)),
        ("deepseek-r1", KVCacheShape(layers: 61, kvHeads: 1, headDimension: 576, isLatent: true)),
    ]
}
