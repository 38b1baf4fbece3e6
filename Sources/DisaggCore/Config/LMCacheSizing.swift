/// Sizes of the PD buffers of a deployment's engines.
///
/// A page of the buffer holds one chunk of one rank; every transfer moves whole pages, a partly filled chunk too. Rules of
/// LMCache 0.5.6 (`pd_backend_async.py` 456-504) and of its example files; the receiver must hold every prompt that is on
/// the way and not yet decoded, the sender what one scheduler step stores.
package struct LMCacheSizing: Sendable, Hashable {
    /// Bytes of one chunk in the rank with most layers; nil where the model's shape is not known.
    package var chunkBytes: Int?
    /// A size that is a multiple of every rank's chunk: before 0.4.3 LMCache refuses all others.
    package var alignment: Int?
    /// Tokens in one chunk.
    package var chunkTokens: Int
    /// Longest prompt that is handed over, in tokens.
    package var longestPrompt: Int
    /// Most tokens that one scheduler step computes.
    package var batchedTokens: Int
    /// Prompts of the longest kind on the way to one decoder.
    package var concurrency: Int
    /// Bytes of one KV value.
    package var valueBytes: Int

    /// Longest prompt where neither the file nor the engines' arguments limit it: that of LMCache's examples.
    private static let defaultLongestPrompt = 16384
    /// What vLLM schedules in a step on GPUs of the H100 class where nothing is said.
    private static let defaultBatchedTokens = 8192

    /// Works the sizes out of a deployment; the prefill engines' parallelism counts for both sides.
    package init(_ deployment: Deployment) {
        let prefill = EngineArguments(deployment.prefill.extraArguments)
        let decode = EngineArguments(deployment.decode.extraArguments)
        let shape = deployment.modelShape
        chunkTokens = max(1, deployment.lmcache.chunkSize)
        concurrency = max(1, deployment.lmcache.concurrency)
        let lengths = [prefill, decode].compactMap { $0.integer("max-model-len") }.filter { $0 > 0 && $0 <= 1 << 30 }
        let context = lengths.min() ?? shape?.maximumPositions ?? Self.defaultLongestPrompt
        longestPrompt =
            deployment.lmcache.maximumPrefillTokens ?? max(1, min(context, Self.defaultLongestPrompt))
        let batched = prefill.integer("max-num-batched-tokens") ?? Self.defaultBatchedTokens
        batchedTokens = max(1, min(batched, 1 << 30))
        valueBytes = Self.valueBytes(decode) ?? Self.valueBytes(prefill) ?? shape?.valueBytes ?? 2
        guard let shape else { return }
        let drafts = decode.contains("speculative-config") ? max(1, shape.draftLayers) : 0
        let stages = max(1, deployment.prefill.pipelineParallel)
        let (tokens, bytesOfValue) = (chunkTokens, valueBytes)
        let chunk = { (stages: Int) in
            shape.kvBytesPerToken(
                tensorParallel: deployment.prefill.tensorParallel, pipelineParallel: stages,
                valueBytes: bytesOfValue, draftLayers: drafts) * tokens
        }
        let bytes = chunk(stages)
        guard bytes > 0 else { return }
        chunkBytes = bytes
        alignment = bytes
        let layer = chunk(1) / max(1, shape.layers - shape.stateLayers + drafts)
        // Stages of unequal length: vLLM gives some ranks one layer more than others.
        if stages > 1, (shape.layers - shape.stateLayers) % stages != 0, layer > 0 {
            let large = bytes / layer
            alignment = layer * large * max(1, large - 1)
        }
    }

    /// Bytes of a KV value that an engine's arguments ask for; nil where they leave it to the model.
    package static func valueBytes(_ arguments: EngineArguments) -> Int? {
        guard let type = arguments.value("kv-cache-dtype"), type != "auto" else { return nil }
        return type.hasPrefix("fp8") ? 1 : type == "float32" ? 4 : 2
    }

    /// Chunks of a prompt.
    package func chunks(tokens: Int) -> Int { (max(0, tokens) + chunkTokens - 1) / chunkTokens }

    /// Pages that one role's buffer needs.
    ///
    /// One page more than the longest prompt: a request's last, partly filled chunk takes a whole one.
    package func pages(_ role: BackendRole) -> Int {
        let prompt = chunks(tokens: longestPrompt) + 1
        switch role {
        case .decode: return prompt * concurrency
        // Twice a step's chunks, so that sending overlaps computing; and `pd_max_prefill_len` is checked here too.
        case .prefill: return max(2 * (chunks(tokens: min(batchedTokens, longestPrompt)) + 1), prompt)
        }
    }

    /// `pd_buffer_size` of one role: the configured number down to whole chunks, or what ``pages(_:)`` need.
    package func bufferBytes(_ role: BackendRole, configured: Int?) -> Int {
        guard let alignment, let chunkBytes else { return configured ?? (role == .prefill ? 2 << 30 : 4 << 30) }
        if let configured { return configured < alignment ? configured : configured / alignment * alignment }
        let (bytes, overflow) = pages(role).multipliedReportingOverflow(by: chunkBytes)
        let (padded, paddedOverflow) = bytes.addingReportingOverflow(alignment - 1)
        return overflow || paddedOverflow ? Int.max / alignment * alignment : padded / alignment * alignment
    }

    /// Tokens that a buffer of that size holds; nil where the model's shape is not known.
    package func capacityTokens(bytes: Int) -> Int? {
        chunkBytes.map { bytes / $0 * chunkTokens }
    }
}
