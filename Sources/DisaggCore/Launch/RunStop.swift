internal import Glibc

/// Stops a run from outside: what `disagg-launch down` does.
package enum RunStop {
    /// Asks the launcher to stop and waits for it; ends what a killed launcher left.
    ///
    /// - Parameters:
    ///   - timeout: how long the launcher may take to let requests finish and to stop the engines; after it, everything
    ///     is killed.
    ///   - note: called with lines for the user.
    /// - Throws: ``CommandError`` with status 1 where something does not end.
    package static func run(
        _ directory: String, timeout: Duration, note: (String) -> Void
    ) async throws(CommandError) {
        guard let state = try RunState.read(directory) else {
            return note("nothing runs in \(directory)")
        }
        let orphans = Orphans(state)
        if state.launcherIsAlive {
            note("stopping \(state.source): launcher pid \(state.launcher)")
            _ = kill(state.launcher, SIGTERM)
            if await ends(state, within: timeout) { return note("stopped") }
            note("the launcher takes longer than \(ConfigText.text(timeout)): killing everything")
            if state.launcherIsAlive { _ = kill(state.launcher, SIGKILL) }
            _ = await ends(state, within: .seconds(5))
        }
        let found = orphans.processes
        if !found.isEmpty {
            note("stopping what the launcher left: \(found.map { "pid \($0)" }.joined(separator: ", "))")
        }
        let left = await orphans.stop(grace: state.launcherIsAlive ? .zero : min(timeout, .seconds(10)))
        guard left.isEmpty else {
            throw CommandError(
                "still there after SIGKILL: \(left.map { "pid \($0)" }.joined(separator: ", "))", exitStatus: 1)
        }
        // A new launcher may have the directory by now.
        if let lock = try RunLock.take(directory) {
            withExtendedLifetime(lock) { _ = unlink("\(directory)/\(RunState.fileName)") }
        }
        note("stopped")
    }

    private static func ends(_ state: RunState, within limit: Duration) async -> Bool {
        let clock = ContinuousClock()
        let start = clock.now
        while state.launcherIsAlive {
            guard clock.now - start < limit, (try? await Task.sleep(for: .milliseconds(50))) != nil else {
                return false
            }
        }
        return true
    }
}
