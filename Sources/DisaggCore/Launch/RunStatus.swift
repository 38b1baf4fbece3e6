/// What `disagg-launch status` says: the launcher's own account of a run, checked against the processes that live.
package struct RunStatus: Sendable {
    /// One process as it is now.
    package struct Process: Sendable {
        /// What the launcher said.
        package var recorded: RunState.Process
        /// Whether the recorded process lives.
        package var isAlive: Bool
        /// Whether it answers its health request with 200; nil where it was not asked.
        package var isHealthy: Bool?

        /// The state to show: what the launcher said, unless the process has gone since.
        package var state: String {
            recorded.pid != nil && !isAlive ? "dead" : recorded.state
        }
    }

    /// The launcher's account.
    package var state: RunState
    /// Whether the launcher lives.
    package var launcherIsAlive: Bool
    /// The processes, in start order.
    package var processes: [Process]

    /// Looks at a run's directory.
    ///
    /// - Returns: nil where nothing runs there.
    package static func read(_ directory: String) async throws(CommandError) -> RunStatus? {
        guard let state = try RunState.read(directory) else { return nil }
        let isCurrent = state.bootID == ProcessFacts.bootID
        let processes = await withTaskGroup(of: (Int, Process).self) { group in
            for (index, recorded) in state.processes.enumerated() {
                let isAlive =
                    isCurrent
                    && recorded.pid.flatMap { ProcessFacts($0) }.map {
                        $0.isAlive && $0.startTicks == recorded.startTicks
                    } ?? false
                group.addTask {
                    var process = Process(recorded: recorded, isAlive: isAlive)
                    if isAlive, !recorded.healthURL.isEmpty {
                        process.isHealthy = await HTTPProbe(url: recorded.healthURL).run() == .status(200)
                    }
                    return (index, process)
                }
            }
            var found: [(Int, Process)] = []
            for await each in group { found.append(each) }
            return found.sorted { $0.0 < $1.0 }.map(\.1)
        }
        return RunStatus(state: state, launcherIsAlive: state.launcherIsAlive, processes: processes)
    }

    /// The command's exit status: 0 where all is well, 1 where something is not.
    package var exitStatus: Int32 {
        let allWell =
            launcherIsAlive && state.phase == "up"
            && processes.allSatisfy { $0.state == "ready" && $0.isHealthy == true }
        return allWell ? 0 : 1
    }
}
