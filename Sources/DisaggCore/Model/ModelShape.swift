/// The sizes of a model that decide its memory and work, as its `config.json` gives them.
///
/// Parameter counts follow the layers that vLLM builds and agree with the models' cards to 0.1 % (tests list them).
/// All counts are for the whole model; functions with `tensorParallel` give one rank's share.
public struct ModelShape: Sendable, Hashable {
    /// Transformer layers, without draft layers.
    public var layers: Int
    /// Width of the residual stream.
    public var hiddenSize: Int
    /// Query heads.
    public var attentionHeads: Int
    /// Key/value heads.
    public var kvHeads: Int
    /// Values of one head; may differ from `hiddenSize / attentionHeads` (Qwen3).
    public var headDimension: Int
    /// Inner width of a dense feed-forward layer.
    public var feedForwardSize: Int
    /// Rows of the embedding table.
    public var vocabulary: Int
    /// Whether the output head is the embedding table.
    public var tiesEmbeddings = false
    /// Whether a feed-forward layer has three matrices (SwiGLU) and not two (OPT).
    public var hasGatedFeedForward = true
    /// Latent attention (MLA), nil for grouped-query attention.
    public var latent: LatentAttention?
    /// Experts, nil for a dense model.
    public var experts: Experts?
    /// Tokens that a sliding-window layer sees; nil where no layer has a window.
    public var slidingWindow: Int?
    /// Layers with a window; they keep at most ``slidingWindow`` tokens.
    public var slidingLayers = 0
    /// Layers that keep a state of fixed size and no KV cache (Mamba, linear attention).
    public var stateLayers = 0
    /// Layers of a built-in draft model (`num_nextn_predict_layers`); they count only where speculation is on.
    public var draftLayers = 0
    /// Longest sequence the model was made for, in tokens; nil where the file does not say.
    public var maximumPositions: Int?
    /// Bytes of an unquantised value: 2 for bfloat16 and float16.
    public var valueBytes = 2
    /// Bits of a weight in the quantised matrices; nil where nothing is quantised.
    public var quantizedBits: Int?
    /// The quantisation's name in the file, for messages.
    public var quantization: String?

    /// The matrices of DeepSeek's latent attention.
    public struct LatentAttention: Sendable, Hashable {
        /// `q_lora_rank`; nil where queries have one full matrix.
        public var queryRank: Int?
        /// `kv_lora_rank`.
        public var kvRank: Int
        /// `qk_nope_head_dim`.
        public var plainDimension: Int
        /// `qk_rope_head_dim`.
        public var rotaryDimension: Int
        /// `v_head_dim`.
        public var valueDimension: Int

        /// Names the ranks and dimensions.
        public init(queryRank: Int?, kvRank: Int, plainDimension: Int, rotaryDimension: Int, valueDimension: Int) {
            self.queryRank = queryRank
            self.kvRank = kvRank
            self.plainDimension = plainDimension
            self.rotaryDimension = rotaryDimension
            self.valueDimension = valueDimension
        }
    }

    /// The experts of a mixture-of-experts model.
    public struct Experts: Sendable, Hashable {
        /// Routed experts in a layer.
        public var count: Int
        /// Routed experts that one token uses.
        public var active: Int
        /// Inner width of one expert.
        public var size: Int
        /// Inner width of what every token uses beside the routed experts; 0 where there is nothing.
        public var sharedSize = 0
        /// First layers that are dense.
        public var denseLayers = 0
        /// Every how many-th layer has experts.
        public var step = 1

        /// Describes the experts.
        public init(count: Int, active: Int, size: Int, sharedSize: Int = 0, denseLayers: Int = 0, step: Int = 1) {
            self.count = count
            self.active = active
            self.size = size
            self.sharedSize = sharedSize
            self.denseLayers = denseLayers
            self.step = step
        }
    }

    /// Creates the shape of a dense, untied, unquantised model.
    public init(
        layers: Int, hiddenSize: Int, attentionHeads: Int, kvHeads: Int, headDimension: Int, feedForwardSize: Int,
        vocabulary: Int
    ) {
        self.layers = layers
        self.hiddenSize = hiddenSize
        self.attentionHeads = attentionHeads
        self.kvHeads = kvHeads
        self.headDimension = headDimension
        self.feedForwardSize = feedForwardSize
        self.vocabulary = vocabulary
    }

    /// Whether keys and values share one latent vector that every rank holds whole (MLA).
    public var isLatent: Bool { latent != nil }
}
