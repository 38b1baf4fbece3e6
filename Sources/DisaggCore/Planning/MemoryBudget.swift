/// Where one rank's GPU memory goes, and how many tokens of KV cache are left.
///
/// vLLM takes `gpu-memory-utilization` of what CUDA sees, loads the weights, runs the largest step once to see what it
/// needs besides, and makes the rest KV cache. A PD buffer in GPU memory is allocated before that and comes off it.
public struct MemoryBudget: Sendable, Hashable {
    /// Which engine profiles its memory.
    public enum Profile: Sendable, Hashable {
        /// vLLM 0.24: the largest step's activations, or its logits, whichever is more.
        case current
        /// vLLM up to 0.9: the profile run also sorted the logits of `max_num_seqs` sequences, some 36 bytes each.
        case sortedSampling
    }

    /// What CUDA sees, in bytes.
    public var usableBytes: Int
    /// The share that the engine may take, in bytes.
    public var allowedBytes: Int
    /// Weights of the largest rank, in bytes.
    public var weightBytes: Int
    /// Activations of the largest step, logits, and what the driver and libraries hold, in bytes.
    public var overheadBytes: Int
    /// A PD buffer in GPU memory, in bytes.
    public var bufferBytes: Int
    /// KV cache of one token in one rank, in bytes.
    public var kvBytesPerToken: Int
    /// Tokens of a KV block.
    public var blockTokens = 16

    /// Draws up the budget of one rank.
    ///
    /// - Parameters:
    ///   - utilization: `--gpu-memory-utilization`, above 0 and at most 1.
    ///   - bufferBytes: `pd_buffer_size` where its device is `cuda`, else 0.
    public init(_ setup: EngineSetup, utilization: Double, bufferBytes: Int = 0, profile: Profile = .current) {
        let shape = setup.shape
        let ranks = Double(setup.tensorParallel)
        usableBytes = setup.gpu.usableBytes
        allowedBytes = Int(Double(usableBytes) * min(1, max(0, utilization)))
        weightBytes = shape.weightBytes(tensorParallel: setup.tensorParallel)
        self.bufferBytes = max(0, bufferBytes)
        kvBytesPerToken = max(
            1, shape.kvBytesPerToken(tensorParallel: setup.tensorParallel, valueBytes: setup.kvValueBytes))
        let inner = shape.experts.map { Double($0.active * $0.size + $0.sharedSize) } ?? Double(shape.feedForwardSize)
        // Gate, up and their product, sharded; residual, norm, input and output of the block, whole.
        let activations = Double(setup.maximumBatchedTokens) * (3 * inner / ranks + 4 * Double(shape.hiddenSize)) * 2
        let logits = Double(setup.maximumSequences) * Double(shape.vocabulary)
        // What CUDA, cuBLAS and the engine hold beside tensors; NCCL takes its share with several ranks.
        let base = 0.48 * Double(1 << 30) + (setup.tensorParallel > 1 ? 0.35 * Double(1 << 30) : 0)
        let peak =
            switch profile {
            case .current: max(activations, logits * 6)
            case .sortedSampling: logits * 42
            }
        overheadBytes = Int(min(peak + base, 1e15))
    }

    /// Bytes left for the KV cache; negative where the model does not fit.
    public var kvBytes: Int { allowedBytes - weightBytes - overheadBytes - bufferBytes }

    /// Tokens that the KV cache holds, in whole blocks; 0 where the model does not fit.
    public var kvTokens: Int { max(0, kvBytes / kvBytesPerToken / blockTokens * blockTokens) }

    /// What is in the way, with the numbers; nil where at least `tokens` tokens of KV cache are left.
    ///
    /// - Parameter tokens: the longest request.
    public func shortage(forTokens tokens: Int) -> String? {
        func gib(_ bytes: Int) -> String { DecimalText.fixed(Double(bytes) / Double(1 << 30), 1) + " GiB" }
        if weightBytes > allowedBytes {
            return "weights of \(gib(weightBytes)) a GPU exceed the \(gib(allowedBytes)) that the engine may take"
        }
        if kvBytes <= 0 {
            return "weights \(gib(weightBytes)), activations and libraries \(gib(overheadBytes))"
                + (bufferBytes > 0 ? ", PD buffer \(gib(bufferBytes))" : "")
                + " leave nothing of \(gib(allowedBytes)) for the KV cache"
        }
        guard kvTokens < tokens else { return nil }
        return "the KV cache holds \(kvTokens) tokens (\(gib(kvBytes))), the longest request has \(tokens)"
    }
}
