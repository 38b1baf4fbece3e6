internal import Glibc

/// Looks at this machine for the checks.
package struct MachineProbe: Sendable {
    /// The `PATH` that programs are looked for in.
    package var path: String
    /// The launcher's environment.
    package var variable: @Sendable (String) -> String?

    /// Describes where to look.
    package init(
        path: String, variable: @escaping @Sendable (String) -> String? = { ExecutableSearch.variable($0) }
    ) {
        self.path = path
        self.variable = variable
    }

    /// Collects what a deployment's checks need.
    ///
    /// - Parameter ports: whether to try the ports; not while the deployment runs.
    package func facts(_ deployment: Deployment, places: CommandPlaces, ports: Bool) async -> MachineFacts {
        var facts = MachineFacts()
        facts.engineProgram = ExecutableSearch.find(deployment.engine == .sglang ? "python3" : "vllm", path: path)
        facts.python = facts.engineProgram.map { PythonEnvironment(beside: $0) } ?? PythonEnvironment()
        facts.hasProxy = ExecutableSearch.isExecutable(places.proxy)
        if deployment.engine != .simulated { await readGPUs(&facts) }
        if ports {
            let own = deployment.portClaims.filter { claim in
                claim.process == "proxy"
                    || BackendRole.allCases.contains { role in
                        deployment.group(role).urls.isEmpty && claim.process.hasPrefix(role.rawValue)
                    }
            }
            facts.takenPorts = own.compactMap { claim in PortCheck.problem(claim).map { (claim, $0) } }
        }
        readModel(deployment.model, &facts)
        readLimits(&facts)
        facts.temporaryPath = variable("TMPDIR") ?? "/tmp"
        facts.unresolvedHosts = Self.unresolved(deployment)
        return facts
    }

    // MARK: - GPUs

    private func readGPUs(_ facts: inout MachineFacts) async {
        facts.host = try? await GPUInventory.host(path: path)
        guard facts.host != nil, let program = ExecutableSearch.find("nvidia-smi", path: path) else { return }
        facts.driverCUDA = await GPUInventory.answer(program, []).flatMap(Self.cudaVersion)
    }

    /// The banner's `CUDA Version: 13.0`.
    static func cudaVersion(_ banner: String) -> LMCacheVersion? {
        guard let range = banner.firstRange(of: "CUDA Version:") else { return nil }
        return LMCacheVersion(banner[range.upperBound...].drop { $0 == " " }.prefix { $0 == "." || $0.isNumber })
    }

    // MARK: - The model and the machine

    private func readModel(_ model: String, _ facts: inout MachineFacts) {
        if model.hasPrefix("/") || model.hasPrefix(".") {
            facts.modelFolder = ProcFile.names(in: model) ?? []
            return
        }
        let home = variable("HF_HOME") ?? "\(variable("HOME") ?? "/root")/.cache/huggingface"
        let hub = variable("HF_HUB_CACHE") ?? "\(home)/hub"
        let folder = "\(hub)/models--" + model.split(separator: "/").joined(separator: "--")
        let snapshots = ProcFile.names(in: "\(folder)/snapshots") ?? []
        facts.isCached = snapshots.contains { snapshot in
            (ProcFile.names(in: "\(folder)/snapshots/\(snapshot)") ?? []).contains { $0.hasSuffix(".safetensors") }
        }
        facts.hasToken =
            ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].contains { variable($0)?.isEmpty == false }
            || ConfigFile.exists("\(home)/token")
        var existing = hub
        while existing.count > 1, access(existing, F_OK) != 0, let slash = existing.lastIndex(of: "/") {
            existing = slash == existing.startIndex ? "/" : String(existing[..<slash])
        }
        facts.cacheFreeBytes = Self.space(existing)?.free
    }

    private func readLimits(_ facts: inout MachineFacts) {
        facts.openFiles = OpenFileLimit.current
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 {
            facts.lockedBytes = Int(clamping: limit.rlim_cur)
        }
        facts.sharedMemoryBytes = Self.space("/dev/shm")?.total
        for line in (ProcFile.text("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix("MemAvailable:")
        {
            let number = line.dropFirst(13).drop { $0 == " " }.prefix { $0.isNumber }
            facts.availableBytes = Int(number).map { $0.multipliedReportingOverflow(by: 1024).partialValue }
        }
    }

    private static func space(_ path: String) -> (total: Int, free: Int)? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let block = Int(clamping: status.f_frsize)
        let (total, overflow) = block.multipliedReportingOverflow(by: Int(clamping: status.f_blocks))
        let (free, freeOverflow) = block.multipliedReportingOverflow(by: Int(clamping: status.f_bavail))
        return overflow || freeOverflow ? nil : (total, free)
    }

    /// Host names of a deployment without an IPv4 address.
    private static func unresolved(_ deployment: Deployment) -> [String] {
        var names: [String] = [deployment.proxy.notify.host]
        for role in BackendRole.allCases {
            let group = deployment.group(role)
            names += group.endpoints.prefix(64).map(\.host) + [group.receiverHost].compactMap { $0 }
        }
        var seen: Set<String> = []
        return names.filter { name in
            guard seen.insert(name).inserted, name.contains(where: \.isLetter), !name.contains(":") else {
                return false
            }
            var hints = addrinfo()
            hints.ai_family = AF_INET
            var list: UnsafeMutablePointer<addrinfo>?
            guard getaddrinfo(name, nil, &hints, &list) == 0 else { return true }
            freeaddrinfo(list)
            return false
        }
    }
}
