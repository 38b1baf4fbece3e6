/// Where one rank's GPU memory goes, and how many tokens of KV cache are left.
///
/// vLLM takes `gpu-memory-utilization` of what CUDA sees, loads the weights, runs the largest step once to see what it
/// needs besides, and makes the rest KV cache. A PD buffer in GPU memory is allocated before that and comes off it.
///
/// What a step needs is its activations, or the logits of `max_num_seqs` sequences, whichever is more, and the workspaces
/// of attention and experts. The numbers were found on what vLLM 0.11 to 0.24 reported of some thirty engines
/// (Docs/PlannerTables.md); of the dense ones the KV cache is met within 1.5 %.
public struct MemoryBudget: Sendable, Hashable {
    /// Which vLLM profiles its memory: what the profile run holds for each logit changed twice.
    public enum Profile: Sendable, Hashable, CaseIterable {
        /// 0.21 on: 6 bytes, the logits and their copy in float32; memory for CUDA graphs is set aside.
        case current
        /// 0.17 to 0.20: about 12 bytes; graphs are captured into what the utilisation leaves free.
        case beforeGraphs
        /// Up to 0.16: 36 bytes, as the profile run sorted the logits.
        case sortedSampling

        var bytesPerLogit: Double {
            switch self {
            case .current: 6
            case .beforeGraphs: 12.4
            case .sortedSampling: 36
            }
        }

        /// What CUDA, cuBLAS and, with several ranks, NCCL and the all-reduce buffers hold beside tensors, in GiB.
        func librariesGiB(ranks: Int) -> Double {
            switch self {
            case .current, .beforeGraphs: ranks > 1 ? 2.1 : 0.25
            case .sortedSampling: ranks > 1 ? 0.55 : 0.13
            }
        }
    }

    /// What CUDA sees, in bytes.
    public var usableBytes: Int
    /// The share that the engine may take, in bytes.
    public var allowedBytes: Int
    /// Weights of the largest rank, in bytes.
    public var weightBytes: Int
    /// Activations of the largest step, logits, workspaces, CUDA graphs, and what the driver and libraries hold, in bytes.
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
        usableBytes = setup.gpu.usableBytes
        allowedBytes = Int(Double(usableBytes) * min(1, max(0, utilization)))
        weightBytes = shape.weightBytes(tensorParallel: setup.tensorParallel)
        self.bufferBytes = max(0, bufferBytes)
        kvBytesPerToken = max(
            1, shape.kvBytesPerToken(tensorParallel: setup.tensorParallel, valueBytes: setup.kvValueBytes))
        overheadBytes = Self.overheadBytes(
            shape, tensorParallel: setup.tensorParallel, isEager: setup.isEager,
            limits: (setup.maximumBatchedTokens, setup.maximumSequences), profile: profile)
    }

    /// What one rank holds beside weights, KV cache and PD buffer, in bytes.
    ///
    /// - Parameter limits: `max_num_batched_tokens` and `max_num_seqs`.
    package static func overheadBytes(
        _ shape: ModelShape, tensorParallel: Int, isEager: Bool, limits: (batchedTokens: Int, sequences: Int),
        profile: Profile = .current
    ) -> Int {
        let ranks = Double(max(1, tensorParallel))
        let tokens = Double(limits.batchedTokens)
        let hidden = Double(shape.hiddenSize)
        // Gate, up and their product, sharded; the input and the output of the block, whole.
        let inner = shape.experts == nil ? Double(shape.feedForwardSize) : 0
        let activations = tokens * (3 * inner / ranks + 2 * hidden) * 2
        let logits =
            tokens * hidden * 2 + profile.bytesPerLogit * Double(limits.sequences) * Double(shape.vocabulary)
        let experts = shape.experts.map {
            tokens * Double($0.active) * (2 * Double($0.size) / ranks + hidden) * 2
        }
        let graphs = profile == .current && !isEager ? graphGiBPerLayer * Double(shape.layers) : 0
        let fixed = workspaceGiB + profile.librariesGiB(ranks: tensorParallel) + graphs
        return Int(min(max(activations, logits) + (experts ?? 0) + fixed * Double(1 << 30), 1e15))
    }

    /// Workspace of the attention kernels, in GiB.
    private static let workspaceGiB = 0.335
    /// CUDA graphs of one layer, in GiB: vLLM 0.19 estimated 0.6 to 1.9 GiB for 28 to 80 layers.
    private static let graphGiBPerLayer = 0.022

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
