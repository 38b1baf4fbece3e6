/// What `disagg-launch plan` is asked, as its options say it.
package struct PlanQuestion: Sendable {
    package var engine: EngineDescription
    package var gpus: Int?
    package var gpusPerHost = 8
    /// What `nvidia-smi` said of this machine or of others; empty for a plan of machines that are not there.
    package var inventory: [GPUHost] = []
    /// Indices or UUIDs that may be used; empty for all.
    package var selectors: [String] = []
    /// The load, its objectives, the hand-off and the policies.
    package var load = LoadDescription(burstiness: "poisson", firstToken: "decode")
    package var dollarsPerHour: Double?
    package var maximumTensorParallel = 8
    package var network: Double = 25

    package init(engine: EngineDescription) {
        self.engine = engine
        load.objectives = "ttft=1000ms,tpot=50ms"
    }

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
        var request = PlanRequest(
            modelName: engine.model, setup: predictor.setup, calibration: predictor.calibration, hosts: hosts,
            workload: try load.workload(), isRateGiven: load.rate != nil || load.trace != nil,
            objectives: try load.planObjectives())
        request.handoff = try load.handoffKind()
        guard request.handoff != .none else {
            throw CommandError("--handoff: none cannot be planned for; engines that do both are planned anyway")
        }
        request.firstToken = try load.firstTokenSource()
        request.utilization = try load.checkedUtilization()
        request.proxy = try load.proxy()
        request.maximumTensorParallel = max(1, min(64, maximumTensorParallel))
        request.networkGigabytesPerSecond = network
        request.seed = load.seed
        if let dollarsPerHour { request.dollarsPerHour = dollarsPerHour }
        return request
    }
}
