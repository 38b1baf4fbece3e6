internal import Glibc

/// Everything that one child process started: all processes of its session, and those that left it but still carry
/// its mark in their environment.
///
/// vLLM forks an engine core and workers. A worker that calls `setpgid` leaves the process group, so a signal to the
/// group misses it; the session it cannot leave without `setsid`, and the environment it keeps even then.
package struct ProcessSession: Sendable, Hashable {
    /// The variable that marks the processes of one child.
    package static let markName = "DISAGG_LAUNCH_ID"

    /// The child's process id, which is also its session's and its first group's.
    package var id: Int32
    /// The value of ``markName``; unique to this child. Empty matches nothing.
    package var mark: String

    /// Names a session.
    package init(id: Int32, mark: String) {
        self.id = id
        self.mark = mark
    }

    /// The ids of the processes that live; zombies do not count, nor does the caller.
    package var members: [Int32] {
        let own = getpid()
        return ProcFile.processes.filter { process in
            guard process > 1, process != own, let facts = ProcessFacts(process), facts.isAlive else { return false }
            return facts.session == id || isMarked(process)
        }
    }

    /// Sends a signal to the child's process group; does nothing where the group is empty.
    package func signalGroup(_ signal: Int32) {
        guard id > 1 else { return }
        _ = Glibc.kill(-id, signal)
    }

    /// Sends a signal to every member.
    package func signalMembers(_ signal: Int32) {
        for process in members { _ = Glibc.kill(process, signal) }
    }

    /// Waits for the members to end by themselves, then kills them, until none is left.
    ///
    /// - Parameters:
    ///   - patience: how long they may take by themselves.
    ///   - limit: when to give up on processes that even SIGKILL does not end (stuck in the kernel).
    /// - Returns: the processes that are still there.
    package func sweep(patience: Duration, limit: Duration = .seconds(5)) async -> [Int32] {
        let clock = ContinuousClock()
        let start = clock.now
        while true {
            let left = members
            let elapsed = clock.now - start
            if left.isEmpty || elapsed > patience + limit { return left }
            if elapsed >= patience {
                for process in left { _ = Glibc.kill(process, SIGKILL) }
            }
            // A cancelled task sleeps no more; the loop then spins until SIGKILL has worked, which is soon.
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    private func isMarked(_ process: Int32) -> Bool {
        !mark.isEmpty && ProcessFacts.variable(Self.markName, of: process) == .set(mark)
    }
}
