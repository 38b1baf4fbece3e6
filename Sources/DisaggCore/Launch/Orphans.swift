internal import Glibc

/// Processes that a launcher left behind when it was killed.
///
/// A process is one of them only where that is certain, for its id may belong to somebody else by now: its environment
/// carries the run's mark, or it has overwritten its environment (`setproctitle`) and lives in a session whose first
/// process is the recorded one by id and start time, or has ended. While a session has members, the kernel gives its id
/// to no other process.
package struct Orphans: Sendable {
    /// The run they belong to.
    package var state: RunState

    /// Names the run.
    package init(_ state: RunState) { self.state = state }

    /// The ids of those that live.
    package var processes: [Int32] {
        guard state.bootID == ProcessFacts.bootID, !state.mark.isEmpty else { return [] }
        var leaders: [Int32: UInt64] = [:]
        for process in state.processes {
            if let pid = process.pid, let ticks = process.startTicks { leaders[pid] = ticks }
        }
        let own = getpid()
        return ProcFile.processes.filter { process in
            guard process > 1, process != own, let facts = ProcessFacts(process), facts.isAlive else { return false }
            switch ProcessFacts.variable(ProcessSession.markName, of: process) {
            case .set(let mark): return mark.hasPrefix("\(state.mark)/")
            case .unset: return false
            case .hidden:
                guard let ticks = leaders[facts.session] else { return false }
                guard let leader = ProcessFacts(facts.session) else { return true }
                return leader.startTicks == ticks
            }
        }
    }

    /// Ends them: SIGTERM, and SIGKILL after the grace.
    ///
    /// - Returns: those that are still there.
    package func stop(grace: Duration, limit: Duration = .seconds(5)) async -> [Int32] {
        let clock = ContinuousClock()
        let start = clock.now
        for process in processes { _ = kill(process, SIGTERM) }
        while true {
            let left = processes
            let elapsed = clock.now - start
            if left.isEmpty || elapsed > grace + limit { return left }
            if elapsed >= grace {
                for process in left { _ = kill(process, SIGKILL) }
            }
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return left }
        }
    }
}
