internal import Subprocess
internal import SystemPackage

/// The GPUs of this machine, as `nvidia-smi` lists them.
package enum GPUInventory {
    /// How many GPUs there are: 0 where `nvidia-smi` is missing, fails, or takes longer than 10 s.
    ///
    /// - Parameter path: the `PATH` to find `nvidia-smi` in.
    package static func count(path: String) async -> Int {
        guard let program = ExecutableSearch.find("nvidia-smi", path: path) else { return 0 }
        return await answer(program, ["-L"])?.split(separator: "\n").count { $0.hasPrefix("GPU ") } ?? 0
    }

    /// The GPUs, their links, their processes and their CPUs.
    ///
    /// - Parameter path: the `PATH` to find `nvidia-smi` in.
    /// - Throws: ``CommandError`` where there is no `nvidia-smi`, or no answer that can be read.
    package static func host(path: String) async throws(CommandError) -> GPUHost {
        guard let program = ExecutableSearch.find("nvidia-smi", path: path) else {
            throw CommandError("there is no nvidia-smi in PATH; plan for a GPU by name with --gpu and --gpus")
        }
        guard let query = await answer(program, ["--query-gpu=\(NvidiaSMI.deviceFields)", "--format=csv"]) else {
            throw CommandError("\(program) failed, or gave no answer within 10 s; see what it prints by itself")
        }
        var devices = try NvidiaSMI.devices(query: query)
        if let processes = await answer(program, ["--query-compute-apps=\(NvidiaSMI.processFields)", "--format=csv"]) {
            NvidiaSMI.addProcesses(query: processes, to: &devices)
        }
        // Without the matrix a plan is still possible; all links then count as the slowest.
        let matrix = await answer(program, ["topo", "-m"])
        let topology = matrix.flatMap { try? TopologyMatrix(parsing: $0) }
        return try GPUHost(name: "localhost", devices: devices, topology: topology)
    }

    /// What a run prints; nil where it fails or takes longer than 10 s.
    static func answer(_ program: String, _ arguments: [String]) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask { await run(program, arguments) }
            group.addTask {
                // A driver that is broken can block nvidia-smi for ever.
                try? await Task.sleep(for: .seconds(10))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    private static func run(_ program: String, _ arguments: [String]) async -> String? {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)]
        let result = try? await Subprocess.run(
            .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options,
            output: .string(limit: 1 << 20))
        guard let result, result.terminationStatus.isSuccess else { return nil }
        return result.standardOutput
    }
}
