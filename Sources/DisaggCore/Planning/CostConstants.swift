/// What separates an engine's steps from the data sheet's roofline.
///
/// The defaults were found on public measurements of vLLM on H100 (181 rows of three dense models); a calibration fits
/// them to one machine. All are positive, and their logarithms are what is fitted.
public struct CostConstants: Sendable, Hashable {
    /// Share of the peak that large bfloat16 products reach.
    public var matrixEfficiency = 0.70
    /// Share of the peak that large fp8 products reach.
    public var float8Efficiency = 0.62
    /// Share of the memory bandwidth at which weights are read.
    public var weightEfficiency = 0.85
    /// Share of the bfloat16 peak that causal attention over long prompts reaches; short ones reach less.
    public var attentionEfficiency = 0.60
    /// Share of the memory bandwidth at which a decode step reads the KV cache.
    public var kvEfficiency = 0.78
    /// Share of the links' rate that an all-reduce reaches.
    public var linkEfficiency = 0.75
    /// Start of one all-reduce, in µs.
    public var allReduceMicroseconds = 6.5
    /// Gaps between the kernels of one layer, in µs.
    public var layerMicroseconds = 18.0
    /// What a step costs beside its layers, in ms: scheduling that nothing hides, sampling.
    public var stepMilliseconds = 1.1
    /// What the host takes to launch one layer without CUDA graphs, in µs.
    public var launchMicroseconds = 276.0
    /// By what share of it a launch takes longer for one running request alone; n requests share it. Hosts that have
    /// little to do between two tokens launch slower: median gaps of 21.0, 14.4, 19.7 and 21.6 ms with one request on
    /// the H200 of the shipped calibration, 15.2 ms with sixteen.
    public var idleLaunchShare = 0.08
    /// What the engine's loop takes for one running request in a step whose kernels the host launches, in µs.
    public var runningMicroseconds = 15.0
    /// What the API server takes to hand out one token, in µs; it does so beside the next step.
    public var tokenMicroseconds = 60.0
    /// By how much a step with a prompt takes longer to launch than one without.
    public var promptLaunchFactor = 1.2
    /// What the first step of a prompt that no CUDA graph covers takes longer to begin, in ms.
    public var uncapturedMilliseconds = 3.0
    /// Receiving, scheduling and answering one request, in ms.
    public var requestMilliseconds = 18.0
    /// Parsing and checking one prompt token, in µs.
    public var promptMicroseconds = 2.9

    /// The defaults for one generation of GPUs.
    ///
    /// - Ada boards rarely reach their peak: sustained products are at 0.45 to 0.75 of it.
    /// - A100: fitted to DistServe's published profile, whose engine is older.
    /// - H20: its peak is low and so is easily reached.
    public init(for gpu: GPUModel? = nil) {
        guard let gpu else { return }
        switch gpu.family {
        case .ada:
            matrixEfficiency = 0.58
            float8Efficiency = 0.52
        case .ampere:
            matrixEfficiency = 0.79
            weightEfficiency = 0.80
            kvEfficiency = 0.70
        case .hopper where gpu.bfloat16Teraflops < 200: matrixEfficiency = 0.85
        default: break
        }
    }

    /// The constants that a calibration may change, and by how much they vary between machines.
    enum Parameter: Int, CaseIterable, Sendable {
        case matrix, float8, weight, attention, kv, allReduce, layer, step, launch, idleLaunch, running, token,
            promptLaunch
        case uncaptured, request, prompt

        /// Standard deviation of its logarithm: narrow for what silicon decides, wide for what the host decides.
        var spread: Double {
            switch self {
            case .weight, .kv: 0.07
            case .matrix, .float8: 0.12
            case .attention, .promptLaunch: 0.2
            case .request: 0.3
            case .launch, .token, .layer, .step, .allReduce: 0.5
            case .running, .prompt, .uncaptured: 0.7
            case .idleLaunch: 1
            }
        }
    }

    subscript(parameter: Parameter) -> Double {
        get {
            switch parameter {
            case .matrix: matrixEfficiency
            case .float8: float8Efficiency
            case .weight: weightEfficiency
            case .attention: attentionEfficiency
            case .kv: kvEfficiency
            case .allReduce: allReduceMicroseconds
            case .layer: layerMicroseconds
            case .step: stepMilliseconds
            case .launch: launchMicroseconds
            case .idleLaunch: idleLaunchShare
            case .running: runningMicroseconds
            case .token: tokenMicroseconds
            case .promptLaunch: promptLaunchFactor
            case .uncaptured: uncapturedMilliseconds
            case .request: requestMilliseconds
            case .prompt: promptMicroseconds
            }
        }
        set {
            switch parameter {
            case .matrix: matrixEfficiency = newValue
            case .float8: float8Efficiency = newValue
            case .weight: weightEfficiency = newValue
            case .attention: attentionEfficiency = newValue
            case .kv: kvEfficiency = newValue
            case .allReduce: allReduceMicroseconds = newValue
            case .layer: layerMicroseconds = newValue
            case .step: stepMilliseconds = newValue
            case .launch: launchMicroseconds = newValue
            case .idleLaunch: idleLaunchShare = newValue
            case .running: runningMicroseconds = newValue
            case .token: tokenMicroseconds = newValue
            case .promptLaunch: promptLaunchFactor = newValue
            case .uncaptured: uncapturedMilliseconds = newValue
            case .request: requestMilliseconds = newValue
            case .prompt: promptMicroseconds = newValue
            }
        }
    }
}
