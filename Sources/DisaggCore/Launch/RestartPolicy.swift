/// How often, and how fast, a process that ended is started again.
package struct RestartPolicy: Sendable, Hashable {
    /// Restarts within ``window`` before the process is given up; 0 never restarts.
    package var maximumRestarts = 5
    /// Failures longer ago count no more.
    package var window = Duration.seconds(600)
    /// The wait before the first restart; each failure in a row doubles it.
    package var firstDelay = Duration.seconds(1)
    /// The longest wait.
    package var maximumDelay = Duration.seconds(60)
    /// A process that was ready for this long starts the waits anew.
    package var stableAfter = Duration.seconds(120)

    /// Creates the defaults.
    package init() {}

    /// The wait before a restart.
    ///
    /// - Parameter failures: failures in a row, this one included; 1 or more.
    func delay(failures: Int) -> Duration {
        var delay = firstDelay
        for _ in 1..<max(2, failures) where failures > 1 && delay < maximumDelay { delay = delay * 2 }
        return min(delay, maximumDelay)
    }
}
