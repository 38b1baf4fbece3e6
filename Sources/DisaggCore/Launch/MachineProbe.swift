internal import Glibc
internal import Subprocess
internal import SystemPackage

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
        let isSGLang = deployment.handoff.rawValue == "sglang"
        facts.engineProgram = ExecutableSearch.find(isSGLang ? "python3" : "vllm", path: path)
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
        guard let program = ExecutableSearch.find("nvidia-smi", path: path) else { return }
        let query = ["--query-gpu=index,name,memory.total,memory.used", "--format=csv,noheader,nounits"]
        guard let table = await Self.output(program, query) else { return }
        facts.gpus = Self.gpus(table)
        guard facts.gpus?.isEmpty == false else { return }
        facts.driverCUDA = await Self.output(program, []).flatMap(Self.cudaVersion)
        if let matrix = await Self.output(program, ["topo", "-m"]) { facts.links = Self.links(matrix) }
    }

    /// Lines such as `0, NVIDIA H200, 143771, 4`; memory in MiB.
    static func gpus(_ table: String) -> [MachineFacts.GPU] {
        table.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ",").map { field in String(field.drop { $0 == " " }) }
            guard fields.count >= 4, let index = Int(fields[0]), let total = Int(fields[2]), let used = Int(fields[3]),
                (0...(1 << 24)).contains(total), (0...(1 << 24)).contains(used)
            else { return nil }
            return MachineFacts.GPU(index: index, name: fields[1], totalBytes: total << 20, usedBytes: used << 20)
        }
    }

    /// The banner's `CUDA Version: 13.0`.
    static func cudaVersion(_ banner: String) -> LMCacheVersion? {
        guard let range = banner.firstRange(of: "CUDA Version:") else { return nil }
        return LMCacheVersion(banner[range.upperBound...].drop { $0 == " " }.prefix { $0 == "." || $0.isNumber })
    }

    /// The rows `GPU0  X  NV18 …` of `nvidia-smi topo -m`.
    static func links(_ matrix: String) -> [Int: [Int: String]] {
        var links: [Int: [Int: String]] = [:]
        for line in matrix.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard let first = words.first, first.hasPrefix("GPU"), let row = Int(first.dropFirst(3)),
                words.count > 1, !words[1].hasPrefix("GPU")
            else { continue }
            for (column, word) in words.dropFirst().prefix(64).enumerated() where column != row {
                links[row, default: [:]][column] = String(word)
            }
        }
        return links
    }

    /// A program's output; nil where it fails, or takes longer than 10 s as a broken driver does.
    private static func output(_ program: String, _ arguments: [String]) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                var options = PlatformOptions()
                options.createSession = true
                options.teardownSequence = [
                    .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)
                ]
                let result = try? await Subprocess.run(
                    .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options,
                    output: .string(limit: 1 << 18))
                return result.flatMap { $0.terminationStatus.isSuccess ? $0.standardOutput : nil }
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(10))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
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
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            facts.openFiles = Int(clamping: limit.rlim_cur)
        }
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
