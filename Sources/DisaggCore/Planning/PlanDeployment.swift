/// Turns a plan into the deployment file that runs it.
package enum PlanDeployment {
    /// The deployment of the best layout; nil where there is none.
    ///
    /// GPUs are given as they were placed. Engines on one host are started by the launcher there. On several hosts they are
    /// named by `urls`: `disagg-launch config` writes the commands and files of all of them, and the launcher starts the
    /// proxy, on the first host.
    package static func deployment(_ result: PlanResult) -> Deployment? {
        guard let best = result.best else { return nil }
        let request = result.request
        var deployment = Deployment()
        deployment.model = request.modelName
        deployment.handoff = best.layout.isDisaggregated ? request.handoff : .none
        deployment.firstToken = request.firstToken
        deployment.simulator.gpu = request.setup.gpu.name
        deployment.decode = group(deployment.decode, best.layout.decode, request, isApart: best.layout.isDisaggregated)
        if let prefill = best.layout.prefill {
            deployment.prefill = group(deployment.prefill, prefill, request, isApart: true)
        }
        deployment.routing = request.proxy.routing
        if let buffers = PDBuffers(best.layout, request) {
            deployment.lmcache.chunkSize = buffers.chunkTokens
            deployment.lmcache.decodeBufferBytes = buffers.decodeChunks * buffers.chunkBytes
            deployment.lmcache.prefillBufferBytes = buffers.prefillChunks * buffers.chunkBytes
        }
        guard let placement = result.placement else { return deployment }
        let isSpread = Set(placement.seats.map(\.host)).count > 1
        place(.prefill, of: placement, on: request.hosts, isSpread: isSpread, &deployment.prefill)
        place(.decode, of: placement, on: request.hosts, isSpread: isSpread, &deployment.decode)
        if isSpread, let first = request.hosts.first { deployment.proxy.notify.host = first.name }
        return deployment
    }

    /// Gives a role's engines their GPUs and, on several hosts, their addresses: ports count up on each host.
    private static func place(
        _ role: BackendRole, of placement: Placement, on hosts: [GPUHost], isSpread: Bool, _ group: inout EngineGroup
    ) {
        let seats = placement.seats.filter { $0.engine.role == role && hosts.indices.contains($0.host) }
        group.gpus = seats.flatMap { seat in
            let devices = hosts[seat.host].devices
            return seat.positions.filter(devices.indices.contains).map { devices[$0].index }
        }
        guard isSpread else { return }
        var used: [Int: Int] = [:]
        group.urls = seats.map { seat in
            defer { used[seat.host, default: 0] += 1 }
            return Endpoint(host: hosts[seat.host].name, port: group.port + used[seat.host, default: 0])
        }
    }

    private static func group(_ group: EngineGroup, _ part: PlanLayout.Part, _ request: PlanRequest, isApart: Bool)
        -> EngineGroup
    {
        var group = group
        group.replicas = part.count
        group.tensorParallel = part.tensorParallel
        group.extraArguments = [
            "--max-num-seqs", "\(part.sequences)", "--max-num-batched-tokens", "\(part.batchedTokens)",
            "--gpu-memory-utilization", DecimalText.fixed(request.utilization, 2),
            "--max-model-len", "\(modelLength(request))",
        ]
        // The launcher adds it itself where the hand-off wants it.
        if request.setup.isEager, !(isApart && request.handoff.runsEagerly) {
            group.extraArguments.append("--enforce-eager")
        }
        return group
    }

    /// The longest request and some room, in whole thousands, as far as the model goes.
    private static func modelLength(_ request: PlanRequest) -> Int {
        let length = (request.workload.longestTokens * 5 / 4 + 1_023) / 1_024 * 1_024
        return min(length, max(request.workload.longestTokens, request.setup.shape.maximumPositions ?? length))
    }

    /// Where each engine goes, as comment lines.
    package static func comments(_ result: PlanResult) -> String {
        guard let best = result.best else { return "" }
        var lines = [
            "# Planned: \(best.layout.name), \(PlanExplanation.number(best.goodput)) requests a second within the objectives.",
            "# Basis: \(result.basis).",
        ]
        for seat in result.placement?.seats ?? [] {
            let hosts = result.request.hosts
            let name = seat.engine.role.backendID(replica: seat.engine.replica)
            let host = hosts.indices.contains(seat.host) ? hosts[seat.host].name : ""
            let binding = Placement.binding(seat, on: hosts).map { ", numactl \($0)" } ?? ""
            lines.append(
                "# \(name): host \(host), CUDA_VISIBLE_DEVICES=\(Placement.visibleDevices(seat, on: hosts))\(binding)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The deployment file; nil where there is no plan.
    package static func yaml(_ result: PlanResult) -> String? {
        deployment(result).map { comments(result) + DeploymentWriter.yaml($0) }
    }
}
