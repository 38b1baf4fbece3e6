internal import Subprocess
internal import SystemPackage

/// The GPUs of this machine, as `nvidia-smi` lists them.
package enum GPUInventory {
    /// How many GPUs there are: 0 where `nvidia-smi` is missing, fails, or takes longer than 10 s.
    ///
    /// - Parameter path: the `PATH` to find `nvidia-smi` in.
    package static func count(path: String) async -> Int {
        guard let program = ExecutableSearch.find("nvidia-smi", path: path) else { return 0 }
        return await withTaskGroup(of: Int?.self) { group in
            group.addTask { await list(program) }
            group.addTask {
                // A driver that is broken can block nvidia-smi for ever.
                try? await Task.sleep(for: .seconds(10))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? 0
        }
    }

    private static func list(_ program: String) async -> Int {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)]
        let result = try? await Subprocess.run(
            .path(FilePath(program)), arguments: ["-L"], platformOptions: options, output: .string(limit: 1 << 16))
        guard let result, result.terminationStatus.isSuccess else { return 0 }
        return result.standardOutput.split(separator: "\n").count { $0.hasPrefix("GPU ") }
    }
}
