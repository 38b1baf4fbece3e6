/// What `up` was asked for, before it meets the machine.
package struct LaunchRequest: Sendable, Hashable {
    /// A preset's name or a deployment file.
    package var source: String
    /// Replaces the deployment's engine.
    package var engine: EngineKind?
    /// Replaces the deployment's model.
    package var model: String?
    /// The model's `config.json`, in place of the deployment's.
    package var modelConfiguration: String?
    /// Replaces the deployment's LMCache version.
    package var lmcacheVersion: LMCacheVersion?
    /// Added to every port of the deployment.
    package var portOffset = 0
    /// Replaces the simulated engines' time scale.
    package var speed: Double?
    /// The GPUs that may be used, as `0,2,4-7`; nil for all.
    package var gpus: String?
    /// The launcher's own `CUDA_VISIBLE_DEVICES`: what a batch system gave it. Read where ``gpus`` is nil.
    package var visibleDevices: String?
    /// Directory of logs and generated files.
    package var directory = "logs"
    /// Where `vllm` and `nvidia-smi` are looked for.
    package var searchPath = ""
    /// The `disagg-launch` executable.
    package var launcher = "disagg-launch"
    /// The `disagg-proxy` executable; beside the launcher where nil.
    package var proxy: String?

    /// Asks for a preset or file.
    package init(source: String) { self.source = source }

    /// The deployment with the replacements made; its engine may still be `auto`.
    package func deployment() throws(CommandError) -> Deployment {
        do throws(DeploymentError) {
            var deployment = try load()
            if let engine { deployment.engine = engine }
            if let speed { deployment.simulator.speed = speed }
            if let version = lmcacheVersion { deployment.lmcache.version = version }
            if let model { deployment.model = model }
            if let file = modelConfiguration { deployment.modelConfiguration = file }
            if model != nil || modelConfiguration != nil { try readShape(&deployment) }
            deployment.shiftPorts(by: portOffset)
            try deployment.validate(fileName: "\(source), after the command line's changes")
            return deployment
        } catch {
            throw CommandError(error.description)
        }
    }

    /// Reads the model's shape anew after the model, or its file, was replaced.
    private func readShape(_ deployment: inout Deployment) throws(DeploymentError) {
        do throws(ModelConfigurationFile.Failure) {
            deployment.configuredShape = try ModelConfigurationFile.shape(of: deployment)
        } catch {
            throw DeploymentError(fileName: "--model-config", reason: error.description)
        }
        if deployment.modelShape?.isLatent == true { deployment.lmcache.storesOnFirstRankOnly = true }
    }

    private func load() throws(DeploymentError) -> Deployment {
        if let preset = Preset.named(source) { return try Deployment(yaml: preset.yaml, fileName: preset.name) }
        do throws(DeploymentError) {
            return try Deployment(contentsOf: source)
        } catch {
            guard error.problems.first?.line == 0, !source.contains("/"), !source.contains(".") else { throw error }
            let names = Preset.all.map(\.name)
            let hint = EditDistance.nearest(to: source, among: names).map { ", did you mean \($0)?" } ?? ""
            throw DeploymentError(
                fileName: source,
                reason: "neither a preset (\(names.joined(separator: ", "))) nor a file that can be read\(hint)")
        }
    }

    /// Settles what depends on the machine: the engine program and where programs are.
    ///
    /// - Parameters:
    ///   - dryRun: nothing will be started, so missing programs are no errors.
    ///   - note: called with lines for the user.
    package func plan(dryRun: Bool, note: (String) -> Void) async throws(CommandError) -> LaunchPlan {
        var deployment = try deployment()
        var host: GPUHost?
        guard deployment.proxy.listen.port != 0, deployment.handoff != .lmcache || deployment.proxy.notify.port != 0
        else {
            throw CommandError("\(source): the proxy's ports must be fixed to start a deployment, not 0")
        }
        if deployment.engine != .simulated {
            let gpus = await GPUInventory.count(path: searchPath)
            if deployment.engine == .auto {
                let real = deployment.handoff == .sglang ? EngineKind.sglang : .vllm
                deployment.engine = gpus > 0 ? real : .simulated
                let program = real == .sglang ? "SGLang" : "vLLM"
                note(
                    gpus > 0
                        ? "nvidia-smi finds \(gpus) GPU\(gpus == 1 ? "" : "s"): starting \(program)"
                        : "nvidia-smi finds no GPU: starting simulated engines (--engine vllm insists on vLLM)")
            }
            if deployment.engine != .simulated {
                host = gpus > 0 ? try? await GPUInventory.host(path: searchPath) : nil
                deployment = try assignGPUs(deployment, present: gpus > 0 ? gpus : nil, host: host)
            }
        }
        let places = places
        if deployment.engine == .vllm {
            settleVersions(&deployment, vllm: places.vllm, note: note)
            if !places.vllm.hasPrefix("/"), !dryRun {
                throw CommandError(
                    "vllm is not on PATH: activate the Python environment it is installed in, install it with "
                        + "`pip install vllm lmcache`, or use --engine simulated")
            }
        }
        if deployment.engine == .sglang, !places.python.hasPrefix("/"), !dryRun {
            throw CommandError(
                "python3 is not on PATH: activate the Python environment in which sglang is installed, or use "
                    + "--engine simulated")
        }
        guard dryRun || ExecutableSearch.isExecutable(places.proxy) else {
            throw CommandError(
                "the proxy is not at \(places.proxy): build it with `swift build --product disagg-proxy`")
        }
        var plan = LaunchPlan(deployment, places: places)
        if let binding = host.flatMap({ ProcessorBinding($0, path: searchPath) }) { plan.bindProcessors(binding) }
        return plan
    }

    private func assignGPUs(
        _ deployment: Deployment, present: Int?, host: GPUHost?
    ) throws(CommandError) -> Deployment {
        var allowed = Array(0..<(present ?? 1024))
        if let gpus {
            allowed = try GPUAssignment.list(gpus, option: "--gpus")
            if let present, let missing = allowed.first(where: { $0 >= present }) {
                throw CommandError("--gpus: there is no GPU \(missing), nvidia-smi finds \(present)")
            }
        } else if let visibleDevices, let list = try? GPUAssignment.list(visibleDevices, option: "") {
            // Names such as GPU-8f2c… are no numbers to hand out; then all are taken, as nvidia-smi lists them.
            allowed = list
        }
        return try GPUAssignment.assign(deployment, allowed: allowed, present: present, host: host)
    }
}

extension Deployment {
    /// Adds a number to every port that the deployment's own processes listen on; `urls` stay.
    package mutating func shiftPorts(by offset: Int) {
        guard offset != 0 else { return }
        // Side channels that were left to the default move too, so two deployments can run beside each other.
        let sideChannels = [BackendRole.prefill, .decode].map { sideChannelPort($0, replica: 0) + offset }
        for port in KVPort.allCases {
            self.decode.transfer[port] = transferPort(port, .decode, replica: 0) + offset
            self.prefill.transfer[port] = transferPort(port, .prefill, replica: 0) + offset
        }
        for (index, group) in [\Deployment.prefill, \.decode].enumerated() {
            self[keyPath: group].port += offset
            self[keyPath: group].initPort += offset
            self[keyPath: group].allocPort += offset
            self[keyPath: group].sideChannelPort = sideChannels[index]
            if let port = self[keyPath: group].transfer.queryPort {
                self[keyPath: group].transfer.queryPort = port + offset
            }
            self[keyPath: group].explicitReceiverPorts = self[keyPath: group].explicitReceiverPorts.map { ports in
                ReceiverPorts(
                    initPorts: ports.initPorts.map { $0 + offset }, allocPorts: ports.allocPorts.map { $0 + offset })
            }
        }
        if proxy.listen.port != 0 { proxy.listen.port += offset }
        if proxy.notify.port != 0 { proxy.notify.port += offset }
        if let admin = proxy.admin.listen, admin.port != 0 { proxy.admin.listen?.port += offset }
        lmcache.server.port += offset
    }

    /// Checks a deployment that was changed after it was loaded.
    package func validate(fileName: String) throws(DeploymentError) {
        var reader = ConfigReader()
        if model.isEmpty { reader.note("expected text, got nothing", at: "model") }
        DeploymentChecks.run(self, &reader)
        guard !reader.problems.isEmpty else { return }
        throw DeploymentError(
            fileName: fileName,
            problems: reader.problems.map { problem in
                var problem = problem
                problem.line = 0
                problem.column = 0
                return problem
            })
    }
}
