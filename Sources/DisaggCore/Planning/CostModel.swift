/// The time of an engine's steps: a roofline with efficiencies, and what the host adds.
///
/// The work of a step, for q̂ prompt tokens and N running requests, T = q̂ + N, on t ranks:
/// - products: `2·linear·T / (efficiency·peak·t)`, against reading the weights once; the slower one counts, smoothly;
/// - attention of a prompt chunk of q tokens behind c computed ones: `4·layers·heads·dimension·(q·c + q²/2)`
///   (LLM-Viewer, arXiv 2402.16363; DistServe, appendix A);
/// - the KV cache of running requests, read once; norms and residuals; two all-reduces a layer;
/// - gaps between kernels, and a fixed part.
///
/// Without CUDA graphs the host launches every kernel: a step then takes at least that long. And the API server must
/// hand out as many tokens a second as the engine makes.
public struct CostModel: StepTiming {
    /// The engine.
    public let setup: EngineSetup
    /// The efficiencies.
    public let constants: CostConstants

    // All times in ms; see `init` for what each is.
    private let productPerToken: Double
    private let headPerSequence: Double
    private let denseWeights: Double
    private let expertWeights: Double
    private let expertShare: Double
    private let attentionPerPair: Double
    private let slidingAttentionPerToken: Double
    private let kvPerToken: Double
    private let kvFloor: Double
    private let elementwisePerToken: Double
    private let reducePerToken: Double
    private let fixed: Double
    private let launch: Double

    /// Below about this many tokens causal attention is inefficient: at 1,500 it reaches half of what it does at length.
    private static let attentionHalfTokens = 1_500.0
    /// A chunk of q tokens takes as long as one of q + 60: partly filled tiles.
    private static let tileTokens = 60.0
    /// CUDA graphs are captured up to this many tokens (`max_cudagraph_capture_size`).
    static let capturedTokens = 512

    /// Prepares the model.
    public init(_ setup: EngineSetup, _ constants: CostConstants) {
        self.setup = setup
        self.constants = constants
        let shape = setup.shape
        let ranks = Double(setup.tensorParallel)
        let layers = Double(shape.layers)
        // Operations and bytes in a millisecond.
        let peak = setup.gpu.bfloat16Teraflops * 1e9
        let bandwidth = setup.gpu.memoryGigabytesPerSecond * 1e6
        let products =
            setup.computesInFloat8
            ? constants.float8Efficiency * (setup.gpu.float8Teraflops ?? 0) * 1e9 : constants.matrixEfficiency * peak
        productPerToken = 2 * Double(shape.activeLinearParameters) / (products * ranks)
        let head = Double(shape.vocabulary * shape.hiddenSize)
        headPerSequence = 2 * head / (0.6 * peak * ranks)

        let byte = shape.quantizedBits.map { Double($0) / 8 } ?? Double(shape.valueBytes)
        let reading = constants.weightEfficiency * bandwidth * ranks
        var routed = 0.0
        if let experts = shape.experts {
            let matrices = shape.hasGatedFeedForward ? 3.0 : 2
            routed = Double(shape.expertLayers * experts.count) * matrices * Double(shape.hiddenSize * experts.size)
            expertShare = min(1, Double(experts.active) / Double(max(1, experts.count)))
        } else {
            expertShare = 1
        }
        denseWeights =
            ((Double(shape.linearParameters) - routed) * byte + head * Double(shape.valueBytes)) / reading
        expertWeights = routed * byte / reading

        let windowed = Double(shape.slidingLayers)
        let full = max(0, layers - windowed - Double(shape.stateLayers))
        let width: Double
        if let latent = shape.latent {
            width =
                Double(
                    shape.attentionHeads * (latent.plainDimension + latent.rotaryDimension + latent.valueDimension)) / 2
        } else {
            width = Double(shape.attentionHeads * shape.headDimension)
        }
        let attention = constants.attentionEfficiency * peak * ranks
        attentionPerPair = 4 * full * width / attention
        slidingAttentionPerToken = 4 * windowed * width * Double(shape.slidingWindow ?? 0) / attention

        let kvBytes = Double(
            shape.kvBytesPerToken(tensorParallel: setup.tensorParallel, valueBytes: setup.kvValueBytes))
        kvPerToken = kvBytes * (full + windowed * 0.25) / max(1, full + windowed) / (constants.kvEfficiency * bandwidth)
        // An attention kernel takes 9 µs however short the context (H100, op-level measurements).
        kvFloor = layers * 0.009
        elementwisePerToken = layers * 15 * Double(shape.hiddenSize) * 2 / (0.8 * bandwidth)
        if setup.tensorParallel > 1 {
            let link = constants.linkEfficiency * setup.groupGigabytesPerSecond * 1e6
            reducePerToken = 2 * layers * Double(shape.hiddenSize) * 2 * 2 * (ranks - 1) / ranks / link
        } else {
            reducePerToken = 0
        }
        let reduceStart = setup.tensorParallel > 1 ? 2 * layers * constants.allReduceMicroseconds / 1e3 : 0
        fixed =
            layers * (constants.layerMicroseconds + 2.2 * ranks) / 1e3 + reduceStart + constants.stepMilliseconds
        // Ranks wait for each other's launches: 0.34 ms a layer with two, where one takes 0.276 (LMCache's runs).
        launch = setup.isEager ? layers * constants.launchMicroseconds / 1e3 * (setup.tensorParallel > 1 ? 1.23 : 1) : 0
    }

    /// Milliseconds of attention of `tokens` prompt tokens behind `cached` ones.
    package func promptWork(tokens: Int, cached: Int) -> Double {
        let (new, old) = (Double(tokens), Double(cached))
        guard new > 0 else { return 0 }
        let pairs = new * old + new * new / 2
        return attentionPerPair * pairs * (1 + Self.attentionHalfTokens / (new + old)) + slidingAttentionPerToken * new
    }

    /// Milliseconds of one step; see ``StepTiming``.
    package func stepMilliseconds(
        prompts: Int, promptTokens: Int, work: Double, running: Int, contextTokens: Int
    ) -> Double {
        let (q, n) = (Double(promptTokens), Double(running))
        let compute =
            productPerToken * (q + (q > 0 ? Self.tileTokens : 0) + n) + headPerSequence * (n + Double(prompts))
        let weights = denseWeights + (expertWeights > 0 ? expertWeights * touchedShare(q + n) : 0)
        let gemm = Self.smoothMaximum4(weights, compute)
        var gpu = gemm + work + (elementwisePerToken + reducePerToken) * (q + n) + fixed
        if running > 0 { gpu += kvPerToken * Double(contextTokens) + kvFloor }
        var loop = gpu
        if launch > 0 {
            let launches =
                (prompts > 0 ? constants.promptLaunchFactor : 1) + (running > 0 ? constants.idleLaunchShare / n : 0)
            // The GPU works while the host launches what follows: hardly anything adds up where both are alike.
            loop = Self.smoothMaximum16(gpu, launch * launches + n * constants.runningMicroseconds / 1e3)
        }
        return Self.smoothMaximum4(loop, n * constants.tokenMicroseconds / 1e3)
    }

    /// Milliseconds that a request waits beside its steps.
    package func requestMilliseconds(promptTokens: Int) -> Double {
        let isCaptured = !setup.isEager && promptTokens <= Self.capturedTokens
        return constants.requestMilliseconds + constants.promptMicroseconds * Double(promptTokens) / 1e3
            + (isCaptured ? 0 : constants.uncapturedMilliseconds)
    }

    /// Share of the experts that some of `tokens` tokens use, each token choosing independently.
    private func touchedShare(_ tokens: Double) -> Double {
        // (1 - share)^tokens without a library's pow: squares of a halved exponent.
        var base = 1 - expertShare
        var exponent = Int(max(0, min(tokens, 1e6)))
        var missed = 1.0
        while exponent > 0 {
            if exponent & 1 == 1 { missed *= base }
            base *= base
            exponent >>= 1
        }
        return 1 - missed
    }

    /// `(a⁴ + b⁴)^¼`: the larger one, and a little more where both are alike and overlap imperfectly.
    private static func smoothMaximum4(_ a: Double, _ b: Double) -> Double {
        let (a2, b2) = (a * a, b * b)
        return (a2 * a2 + b2 * b2).squareRoot().squareRoot()
    }

    private static func smoothMaximum16(_ a: Double, _ b: Double) -> Double {
        let (a2, b2) = (a * a, b * b)
        let (a4, b4) = (a2 * a2, b2 * b2)
        return smoothMaximum4(a4, b4).squareRoot().squareRoot()
    }
}

extension CostModel {
    /// Milliseconds from sending one prompt to an idle engine to its first token, over HTTP on the same host.
    public func promptMilliseconds(tokens: Int) -> Double {
        var done = 0
        var total = requestMilliseconds(promptTokens: tokens)
        let budget = max(1, setup.maximumBatchedTokens)
        while done < tokens {
            let chunk = min(budget, tokens - done)
            total += stepMilliseconds(
                prompts: 1, promptTokens: chunk, work: promptWork(tokens: chunk, cached: done), running: 0,
                contextTokens: 0)
            done += chunk
        }
        return total
    }

    /// Milliseconds of one step that gives each of `batch` requests a token, each with `context` KV tokens.
    public func decodeMilliseconds(batch: Int, context: Int) -> Double {
        let (tokens, _) = batch.multipliedReportingOverflow(by: context)
        return stepMilliseconds(prompts: 0, promptTokens: 0, work: 0, running: batch, contextTokens: max(0, tokens))
    }
}
