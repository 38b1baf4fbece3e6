/// What is to be planned.
public struct PlanRequest: Sendable {
    /// The model's name, for files and texts.
    public var modelName: String
    /// One engine of one rank: model, GPU, data types, eager or not.
    public var setup: EngineSetup
    /// Measurements of the GPU; nil for the general constants.
    public var calibration: Calibration?
    /// The machines; engines are put on their free GPUs.
    public var hosts: [GPUHost]
    /// The load. Its rate is what is needed, where ``isRateGiven``.
    public var workload: Workload
    /// Whether a rate is needed; else the highest one is looked for.
    public var isRateGiven: Bool
    /// What must be kept.
    public var objectives: PlanObjectives
    /// The hand-off of disaggregated layouts.
    public var handoff = HandoffKind.lmcache
    /// Who samples the first token under `lmcache`.
    public var firstToken = FirstTokenSource.decode
    /// `--gpu-memory-utilization`.
    public var utilization = 0.9
    /// What a GPU costs an hour, in US dollars.
    public var dollarsPerHour: Double
    /// Largest tensor-parallel size that is tried.
    public var maximumTensorParallel = 8
    /// What one GPU can send to another host's, in 10⁹ bytes a second.
    public var networkGigabytesPerSecond = 25.0
    /// Seed of the simulations.
    public var seed: UInt64 = 0
    /// How the proxy chooses among the engines; what the deployment file gets.
    package var proxy = ClusterRouter.Settings()

    /// Creates a request.
    public init(
        modelName: String, setup: EngineSetup, calibration: Calibration?, hosts: [GPUHost], workload: Workload,
        isRateGiven: Bool, objectives: PlanObjectives
    ) {
        self.modelName = modelName
        self.setup = setup
        self.calibration = calibration
        self.hosts = hosts
        self.workload = workload
        self.isRateGiven = isRateGiven
        self.objectives = objectives
        dollarsPerHour = setup.gpu.dollarsPerHour
    }

    /// Free GPUs of all hosts.
    public var gpus: Int { hosts.reduce(0) { $0 + $1.available.count } }

    /// Free GPUs of the largest host: no engine is spread over hosts.
    public var largestHost: Int { hosts.map(\.available.count).max() ?? 0 }

    /// Whether engines of a disaggregated layout run without CUDA graphs: the launcher starts LMCache's and the shared
    /// store's so, as their authors do.
    public var isEagerApart: Bool { setup.isEager || handoff.runsEagerly }

    /// An engine of some ranks.
    ///
    /// - Parameter isApart: whether it is a prefill or decode engine, or does both.
    public func predictor(ranks: Int, isApart: Bool) -> Predictor {
        var setup = setup
        if isApart { setup.isEager = isEagerApart }
        let sized = EngineSetup(shape: setup.shape, gpu: setup.gpu, tensorParallel: ranks, isEager: setup.isEager)
        setup.tensorParallel = ranks
        setup.groupGigabytesPerSecond = sized.groupGigabytesPerSecond
        return Predictor(setup, calibration: calibration)
    }

    /// The hand-off between two engines of that size.
    func profile(_ decode: EngineSetup) -> HandoffProfile {
        let kv = decode.shape.kvBytesPerToken(tensorParallel: decode.tensorParallel, valueBytes: decode.kvValueBytes)
        let gpu = decode.gpu
        let link = gpu.fabric == .switched ? gpu.linkGigabytesPerSecond : gpu.pcieGigabytesPerSecond * 0.6
        return HandoffProfile(
            handoff, firstToken: firstToken, kvBytesPerToken: kv,
            linkGigabytesPerSecond: hosts.count > 1 ? min(link, networkGigabytesPerSecond) : link)
    }
}
