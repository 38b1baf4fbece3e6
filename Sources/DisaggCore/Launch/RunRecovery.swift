internal import Glibc

/// Takes a run's directory over: refuses where a launcher runs in it, and ends what a killed one left.
package enum RunRecovery {
    /// Takes the directory's lock.
    ///
    /// - Parameters:
    ///   - grace: between asking left-over processes to end and killing them.
    ///   - note: called with lines for the user.
    /// - Throws: ``CommandError`` where another launcher holds it, or something cannot be ended.
    package static func take(
        _ directory: String, grace: Duration, note: (String) -> Void
    ) async throws(CommandError) -> RunLock {
        guard let lock = try RunLock.take(directory) else {
            let state = try? RunState.read(directory)
            let holder = state.map { "pid \($0.launcher), \($0.source)" } ?? "another process"
            throw CommandError(
                "\(directory) belongs to a deployment that runs (\(holder)): stop it with "
                    + "`disagg-launch down --log-dir \(directory)`, or use another --log-dir")
        }
        if let state = try RunState.read(directory) {
            let orphans = Orphans(state)
            let found = orphans.processes
            if !found.isEmpty {
                note(
                    "the launcher of an earlier run (pid \(state.launcher)) was killed and left \(found.count) "
                        + "process\(found.count == 1 ? "" : "es"): stopping \(names(found, in: state))")
                let left = await orphans.stop(grace: grace)
                guard left.isEmpty else {
                    throw CommandError(
                        "processes of an earlier run do not end, not even by SIGKILL: "
                            + left.map { "pid \($0)" }.joined(separator: ", "), exitStatus: 1)
                }
            }
            unlink("\(directory)/\(RunState.fileName)")
        }
        return lock
    }

    private static func names(_ processes: [Int32], in state: RunState) -> String {
        processes.map { process in
            let session = ProcessFacts(process)?.session
            let name = state.processes.first { $0.pid == process || $0.pid == session }?.name
            return "\(name ?? "a worker") (pid \(process))"
        }.joined(separator: ", ")
    }
}
