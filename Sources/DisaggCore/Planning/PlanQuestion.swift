/// What `disagg-launch plan` is asked, as its options say it.
package struct PlanQuestion: Sendable {
    package var engine: EngineDescription
    package var gpus: Int?
    package var gpusPerHost = 8
    /// What `nvidia-smi` said of this machine or of others; empty for a plan of machines that are not there.
    package var inventory: [GPUHost] = []
    /// Indices or UUIDs that may be used; empty for all.
    package var selectors: [String] = []
    package var input: String?
    package var output: String?
    package var rate: Double?
    package var burstiness = "poisson"
    /// Name and text of a trace file.
    package var trace: (name: String, text: String)?
    package var objectives = "ttft=1000ms,tpot=50ms"
    package var percentile = 90
    package var handoff = "lmcache"
    package var firstToken = "decode"
    package var utilization = 0.9
    package var dollarsPerHour: Double?
    package var maximumTensorParallel = 8
    package var network: Double = 25
    package var seed: UInt64 = 0

    package init(engine: EngineDescription) { self.engine = engine }

    /// Looks everything up.
    ///
    /// - Throws: ``CommandError`` for what is missing, unknown or out of its range.
    package func request() throws(CommandError) -> PlanRequest {
        var engine = engine
        var hosts = inventory
        if hosts.isEmpty {
            guard let gpus, (1...4_096).contains(gpus) else {
                throw CommandError("--gpus: expected 1...4096 GPUs, or --inventory to ask nvidia-smi")
            }
            guard (1...64).contains(gpusPerHost) else {
                throw CommandError("--gpus-per-host: expected 1...64, got \(gpusPerHost)")
            }
            let model = try GPUCatalog.named(engine.gpu)
            hosts = stride(from: 0, to: gpus, by: gpusPerHost).enumerated().map { index, first in
                GPUHost(name: "host-\(index)", count: min(gpusPerHost, gpus - first), of: model)
            }
        } else {
            if !selectors.isEmpty, let first = hosts.first {
                guard hosts.count == 1 else { throw CommandError("--devices: GPUs can be chosen on one host only") }
                hosts = [try first.selecting(selectors)]
            }
            let models = Set(hosts.flatMap { host in host.available.map { host.devices[$0].model?.name } })
            guard let only = models.first ?? nil, models.count == 1 else {
                let names = Set(hosts.flatMap { host in host.devices.map(\.name) }).sorted().joined(separator: ", ")
                throw CommandError(
                    models.isEmpty
                        ? "no GPU is free: \(hosts.flatMap { $0.devices.compactMap(\.unavailability) }.joined(separator: "; "))"
                        : "the GPUs (\(names)) are not all of one known kind; choose some with --devices, or plan for one kind "
                            + "with --gpu and --gpus")
            }
            engine.gpu = only
        }
        engine.tensorParallel = 1
        let predictor = try engine.predictor()
        let workload = try workload()
        guard utilization > 0, utilization <= 1 else {
            throw CommandError("--gpu-memory-utilization: expected above 0 and at most 1, got \(utilization)")
        }
        guard (50...99).contains(percentile) else {
            throw CommandError("--percentile: expected 50...99, got \(percentile)")
        }
        var request = PlanRequest(
            modelName: engine.model, setup: predictor.setup, calibration: predictor.calibration, hosts: hosts,
            workload: workload, isRateGiven: rate != nil || trace != nil,
            objectives: try PlanObjectives(parsing: objectives, percentile: percentile))
        guard let kind = HandoffKind(rawValue: handoff), kind != .none else {
            let names = HandoffKind.allCases.filter { $0 != .none }.map(\.rawValue).joined(separator: ", ")
            throw CommandError(
                "--handoff: expected \(names), got \"\(handoff)\"; engines that do both are planned anyway")
        }
        guard let source = FirstTokenSource(rawValue: firstToken) else {
            throw CommandError("--first-token: expected prefill or decode, got \"\(firstToken)\"")
        }
        request.handoff = kind
        request.firstToken = source
        request.utilization = utilization
        request.maximumTensorParallel = max(1, min(64, maximumTensorParallel))
        request.networkGigabytesPerSecond = network
        request.seed = seed
        if let dollarsPerHour { request.dollarsPerHour = dollarsPerHour }
        return request
    }

    private func workload() throws(CommandError) -> Workload {
        if let trace {
            var load = Workload(trace: try WorkloadTrace.parse(trace.text, name: trace.name))
            if let rate { load.rate = rate }
            return load
        }
        guard let input, let output else { throw CommandError("give --isl and --osl, or --trace FILE") }
        if let rate, !(rate > 0 && rate <= 1e6) {
            throw CommandError("--rate: expected requests a second above 0, at most 1000000, got \(rate)")
        }
        return Workload(
            input: try LengthDistribution(input, option: "--isl"),
            output: try LengthDistribution(output, option: "--osl"),
            rate: rate ?? 1, burstiness: try PredictionQuestion.burstiness(burstiness))
    }
}
