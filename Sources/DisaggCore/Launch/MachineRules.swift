/// Holds a deployment against a machine.
package struct MachineRules {
    private let deployment: Deployment
    private let facts: MachineFacts
    private var findings: [CheckFinding] = []

    /// All findings.
    package static func run(_ deployment: Deployment, _ facts: MachineFacts) -> [CheckFinding] {
        var rules = MachineRules(deployment, facts)
        rules.checkPrograms()
        rules.checkModel()
        rules.checkLimits()
        if deployment.engine != .simulated { rules.checkGPUs() }
        for (claim, message) in facts.takenPorts { rules.find(.portTaken, claim.path, message) }
        for host in facts.unresolvedHosts { rules.find(.hostName, host, "the name has no IPv4 address") }
        return rules.findings
    }

    private init(_ deployment: Deployment, _ facts: MachineFacts) {
        self.deployment = deployment
        self.facts = facts
    }

    private mutating func find(_ check: CheckID, _ place: String, _ message: String) {
        findings.append(CheckFinding(check, place, message))
    }

    private var startsEngines: Bool { BackendRole.allCases.contains { deployment.group($0).urls.isEmpty } }
    private var isVLLM: Bool { deployment.engine != .simulated && startsEngines }
    private var connector: KVConnector? { KVConnector(deployment.handoff) }

    // MARK: - Programs and packages

    private mutating func checkPrograms() {
        if !facts.hasProxy { find(.programMissing, "disagg-proxy", "it is not beside disagg-launch") }
        guard isVLLM else { return }
        guard facts.engineProgram != nil else {
            // `auto` starts simulated engines where there is no GPU.
            if deployment.engine == .vllm { find(.programMissing, "vllm", "it is not on the PATH") }
            return
        }
        let python = facts.python
        guard !python.packages.isEmpty else { return }
        if connector?.isLMCachePD == true || connector == .lmcacheMP, python.packages["lmcache"] == nil {
            find(.packageMissing, "lmcache", "it is not installed beside \(facts.engineProgram ?? "the engine")")
        }
        if deployment.engine == .sglang, python.packages["sglang"] == nil {
            find(.packageMissing, "sglang", "it is not installed beside \(facts.engineProgram ?? "the engine")")
        }
        let usesNIXL = connector?.isLMCachePD == true || connector == .nixl || connector == .nixlPush
        if usesNIXL, python.packages.keys.allSatisfy({ !$0.hasPrefix("nixl") }) {
            find(.packageMissing, "nixl", "it is not installed beside \(facts.engineProgram ?? "the engine")")
        }
        if usesNIXL { checkCUDA() }
    }

    private mutating func checkCUDA() {
        guard let torch = facts.python.packages["torch"], let plus = torch.firstIndex(of: "+") else { return }
        let tag = torch[torch.index(after: plus)...]
        guard tag.hasPrefix("cu"), tag.count >= 5, let number = Int(tag.dropFirst(2)) else { return }
        let cuda = LMCacheVersion(number / 10, number % 10, 0)
        if let driver = facts.driverCUDA, driver < cuda, driver.major < cuda.major {
            find(
                .driver, "driver",
                "it supports CUDA \(driver.major).\(driver.minor), PyTorch \(torch) needs \(cuda.major)")
        }
        let built = facts.python.packages.keys.filter { $0.hasPrefix("nixl-cu") }.compactMap { Int($0.dropFirst(7)) }
        if !built.isEmpty, !built.contains(cuda.major) {
            let names = built.sorted().map { "nixl-cu\($0)" }.joined(separator: ", ")
            find(.nixlCUDA, "nixl", "\(names) is installed, PyTorch is built for CUDA \(cuda.major)")
        }
        if !built.isEmpty, facts.python.packages["nixl"] == nil {
            find(.nixlCUDA, "nixl", "the meta package nixl is missing")
        }
    }

    // MARK: - The model

    private mutating func checkModel() {
        guard isVLLM else { return }
        if let names = facts.modelFolder {
            if !names.contains("config.json") {
                find(.modelFiles, "model", "\(deployment.model) has no config.json")
            } else if !names.contains(where: {
                $0.hasSuffix(".safetensors") || $0.hasSuffix(".bin") || $0.hasSuffix(".gguf")
            }),
                !usesDummyWeights
            {
                find(.modelFiles, "model", "\(deployment.model) has no weights")
            }
            return
        }
        guard facts.isCached == false, facts.engineProgram != nil, facts.host?.devices.isEmpty == false else { return }
        let gated = ["meta-llama/", "google/gemma", "mistralai/Mistral-Large"]
        if !facts.hasToken, gated.contains(where: { deployment.model.hasPrefix($0) }) {
            find(.gatedModel, "model", "\(deployment.model) is gated, and HF_TOKEN is not set")
        }
        if let shape = deployment.modelShape, let free = facts.cacheFreeBytes, !usesDummyWeights,
            free < shape.weightBytes
        {
            find(
                .weightsDisk, "model",
                "\(Self.gib(shape.weightBytes)) of weights, \(Self.gib(free)) free on the cache's disk")
        }
    }

    private var usesDummyWeights: Bool {
        EngineArguments(deployment.prefill.extraArguments).value("load-format") == "dummy"
    }

    // MARK: - Limits

    private mutating func checkLimits() {
        if let files = facts.openFiles, files < 4096 { find(.openFiles, "ulimit -n", "it is \(files)") }
        if facts.temporaryPath.utf8.count > 60 {
            find(.temporaryPath, "TMPDIR", "it has \(facts.temporaryPath.utf8.count) bytes")
        }
        guard isVLLM, facts.engineProgram != nil else { return }
        let pinned = deployment.lmcache.bufferDevice == .cpu || deployment.lmcache.tiers.cpuBytes > 0
        if pinned, connector?.isLMCachePD == true, let locked = facts.lockedBytes, locked < 1 << 30 {
            find(.lockedMemory, "ulimit -l", "it is \(locked >> 10) KiB")
        }
        let ranks = max(deployment.prefill.worldSize, deployment.decode.worldSize)
        if ranks > 1, let size = facts.sharedMemoryBytes, size < 1 << 30 {
            find(.sharedMemory, "/dev/shm", "it has \(size >> 20) MiB for engines of \(ranks) ranks")
        }
        checkHostMemory()
    }

    private mutating func checkHostMemory() {
        guard connector?.isLMCachePD == true, let available = facts.availableBytes else { return }
        var needed = 0
        for role in BackendRole.allCases where deployment.group(role).urls.isEmpty {
            let group = deployment.group(role)
            var bytes = role == .prefill ? deployment.lmcache.tiers.cpuBytes : 0
            if deployment.lmcache.bufferDevice == .cpu { bytes += LMCacheFile.bufferBytes(deployment, role) }
            let (product, overflow) = bytes.multipliedReportingOverflow(by: group.replicas * group.devicesPerEngine)
            let (sum, sumOverflow) = needed.addingReportingOverflow(overflow ? .max : product)
            needed = sumOverflow ? .max : sum
        }
        if needed > available {
            find(.hostMemory, "lmcache", "\(Self.gib(needed)) of pinned memory, \(Self.gib(available)) available")
        }
    }

    // MARK: - GPUs

    private mutating func checkGPUs() {
        guard isVLLM, let host = facts.host, !host.devices.isEmpty else { return }
        let byIndex = Dictionary(host.devices.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
        var owners: [Int: String] = [:]
        for role in BackendRole.allCases where deployment.group(role).urls.isEmpty {
            for replica in 0..<deployment.group(role).replicas {
                let name = role.backendID(replica: replica)
                let own = VLLMCommand.gpus(deployment, role, replica: replica)
                for index in own {
                    guard let gpu = byIndex[index] else {
                        find(.gpuMissing, name, "GPU \(index) is not there; nvidia-smi lists \(host.devices.count)")
                        continue
                    }
                    if let other = owners.updateValue(name, forKey: index), other != name {
                        find(.gpuShared, name, "GPU \(index) is \(other)'s too")
                    }
                    if let reason = gpu.unavailability { find(.gpuBusy, name, reason) }
                }
                checkMemory(role, name, own.compactMap { byIndex[$0] })
                checkLinks(name, own)
            }
        }
        checkPairLinks()
    }

    private mutating func checkMemory(_ role: BackendRole, _ name: String, _ gpus: [GPUDevice]) {
        guard let shape = deployment.modelShape, let memory = gpus.map(\.memoryMiB).min() else { return }
        let group = deployment.group(role)
        let arguments = EngineArguments(group.extraArguments)
        let share = arguments.number("gpu-memory-utilization") ?? 0.9
        guard share > 0, share <= 1, (1...(1 << 24)).contains(memory) else { return }
        let smallest = memory << 20
        let weights = shape.weightBytes(
            tensorParallel: group.tensorParallel, pipelineParallel: group.pipelineParallel)
        let context = min(arguments.integer("max-model-len") ?? shape.maximumPositions ?? 8192, 1 << 24)
        let request =
            max(0, context)
            * shape.kvBytesPerToken(
                tensorParallel: group.tensorParallel, pipelineParallel: group.pipelineParallel,
                valueBytes: LMCacheSizing.valueBytes(arguments))
        let isBuffered = connector?.isLMCachePD == true && deployment.lmcache.bufferDevice == .cuda
        let buffer = isBuffered ? LMCacheFile.bufferBytes(deployment, role) : 0
        let usable = Int(Double(smallest) * share)
        let limits = EngineSetup.defaultLimits(memoryMiB: memory, family: gpus.first?.model?.family)
        let overhead = MemoryBudget.overheadBytes(
            shape, tensorParallel: group.tensorParallel,
            isEager: deployment.handoff.runsEagerly || arguments.contains("enforce-eager"),
            limits: (
                min(arguments.integer("max-num-batched-tokens") ?? limits.batchedTokens, 1 << 24),
                min(arguments.integer("max-num-seqs") ?? limits.sequences, 1 << 20)
            ))
        let parts =
            "\(Self.gib(weights)) weights, \(Self.gib(request)) KV cache of one request of \(context) tokens, "
            + "\(Self.gib(overhead)) overhead"
        if weights + request + overhead > usable {
            find(
                .gpuMemory, name,
                "\(parts): more than \(Self.gib(usable)), vLLM's share of \(Self.gib(smallest)) (--max-model-len and "
                    + "--gpu-memory-utilization decide)")
        } else if weights + request + overhead + buffer > smallest {
            find(
                .gpuMemory, name, "\(parts), \(Self.gib(buffer)) PD buffer: more than the GPU's \(Self.gib(smallest))")
        } else if usable + buffer > smallest {
            find(
                .gpuRoom, name,
                "vLLM's share is \(Self.gib(usable)) and the PD buffer \(Self.gib(buffer)) of \(Self.gib(smallest))")
        }
    }

    /// Ranks of one engine exchange activations in every layer.
    private mutating func checkLinks(_ name: String, _ gpus: [Int]) {
        for (position, first) in gpus.enumerated() {
            for second in gpus.dropFirst(position + 1) {
                guard let link = distantLink(first, second) else { continue }
                return find(.gpuLink, name, "GPUs \(first) and \(second) are joined by \(link) only")
            }
        }
    }

    private mutating func checkPairLinks() {
        guard deployment.prefill.urls.isEmpty, deployment.decode.urls.isEmpty, deployment.handoff != .none,
            let from = VLLMCommand.gpus(deployment, .prefill, replica: 0).first,
            let target = VLLMCommand.gpus(deployment, .decode, replica: 0).first, from != target,
            let link = distantLink(from, target)
        else { return }
        find(.gpuLink, "prefill-0 and decode-0", "GPUs \(from) and \(target) are joined by \(link) only")
    }

    /// The link between two GPUs where it has no peer access; nil for better ones, and where it is not known.
    private func distantLink(_ first: Int, _ second: Int) -> String? {
        guard let host = facts.host, let row = host.devices.firstIndex(where: { $0.index == first }),
            let column = host.devices.firstIndex(where: { $0.index == second }), host.links.indices.contains(row),
            host.links[row].indices.contains(column), let link = host.links[row][column]
        else { return nil }
        return link == .sameNode || link == .betweenSockets ? link.name : nil
    }

    private static func gib(_ bytes: Int) -> String {
        let tenths = Int((Double(bytes) / Double(1 << 30) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) GiB"
    }
}
