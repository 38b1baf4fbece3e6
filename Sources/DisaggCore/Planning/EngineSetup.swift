/// One engine as the cost model sees it: a model on GPUs, and how it runs there.
public struct EngineSetup: Sendable, Hashable {
    /// The model.
    public var shape: ModelShape
    /// The GPU.
    public var gpu: GPUModel
    /// Ranks that share each layer.
    public var tensorParallel = 1
    /// `--enforce-eager`: every kernel is launched by the host, none comes from a CUDA graph.
    public var isEager = false
    /// Bytes of one KV value: 2 for bfloat16, 1 for fp8.
    public var kvValueBytes = 2
    /// Tokens one step takes at most (`max_num_batched_tokens`); vLLM serves with 8,192 on GPUs from 70 GiB.
    public var maximumBatchedTokens = 8_192
    /// Requests that run at once (`max_num_seqs`).
    public var maximumSequences = 1_024
    /// What a GPU sends another one of its group, in 10⁹ bytes a second and one direction.
    public var groupGigabytesPerSecond: Double

    /// Creates an engine with vLLM's defaults for this GPU.
    public init(shape: ModelShape, gpu: GPUModel, tensorParallel: Int = 1, isEager: Bool = false) {
        self.shape = shape
        self.gpu = gpu
        self.tensorParallel = max(1, tensorParallel)
        self.isEager = isEager
        kvValueBytes = shape.valueBytes
        (maximumBatchedTokens, maximumSequences) = Self.defaultLimits(memoryMiB: gpu.usableMiB, family: gpu.family)
        groupGigabytesPerSecond =
            gpu.fabric == .switched || (gpu.fabric == .bridgedPairs && tensorParallel <= 2)
            ? gpu.linkGigabytesPerSecond : gpu.pcieGigabytesPerSecond * (gpu.fabric == .hostOnly ? 0.35 : 0.6)
    }

    /// `max_num_batched_tokens` and `max_num_seqs` where nothing is said: vLLM's server takes 8,192 and 1,024 on large GPUs
    /// that are no A100, else 2,048 and 256 (`vllm/engine/arg_utils.py`).
    static func defaultLimits(memoryMiB: Int, family: GPUModel.Family?) -> (batchedTokens: Int, sequences: Int) {
        memoryMiB >= 70 << 10 && family != .ampere ? (8_192, 1_024) : (2_048, 256)
    }

    /// Why numbers for this model rest on formulas that no measurement has confirmed; nil for dense models with
    /// grouped-query attention.
    public var unvalidatedReason: String? {
        if shape.isLatent { return "latent attention (MLA)" }
        if shape.experts != nil { return "mixture of experts" }
        if shape.stateLayers > 0 { return "layers without a KV cache" }
        if shape.slidingLayers > 0 { return "sliding-window attention" }
        return (shape.quantizedBits ?? 8) < 8 ? "weights below 8 bits" : nil
    }

    /// Whether matrix products run in fp8.
    public var computesInFloat8: Bool { shape.quantizedBits == 8 && gpu.float8Teraflops != nil }
}
