/// Decides for one process whether it is started again, and after how long. It does no I/O; times are durations since
/// any fixed moment.
///
/// A process that fails again and again is given up: each start of an engine reads tens of gigabytes and holds its GPU,
/// and a loop of them hides the cause. A failure whose cause no restart cures (a gated model, an unknown argument) ends
/// the tries at once, unless the process has been ready before: then it was not that.
package struct RestartMachine: Sendable, Hashable {
    /// What becomes of a process that ended.
    package enum Action: Sendable, Hashable {
        /// Start it again after a wait; `attempt` counts its restarts from 1.
        case restart(after: Duration, attempt: Int)
        /// Leave it; so many failures lie within the policy's window.
        case giveUp(failures: Int)
    }

    /// Restarts that were decided so far.
    package private(set) var restarts = 0
    private let policy: RestartPolicy
    /// Times of the failures within the window; one more than the policy allows at most.
    private var failures: [Duration] = []
    private var failuresInARow = 0
    private var readySince: Duration?
    private var wasReady = false

    /// Creates a machine for a process that has not failed yet.
    package init(_ policy: RestartPolicy = RestartPolicy()) { self.policy = policy }

    /// The process answers its readiness requests.
    package mutating func becameReady(at now: Duration) {
        readySince = now
        wasReady = true
    }

    /// The process was stopped on purpose, which is no failure.
    package mutating func stopped() { readySince = nil }

    /// The process ended by itself, or had to be killed.
    ///
    /// - Parameter isPermanent: the cause is known, and starting again does not remove it.
    package mutating func failed(at now: Duration, isPermanent: Bool) -> Action {
        if let readySince, now - readySince >= policy.stableAfter { failuresInARow = 0 }
        readySince = nil
        failures.removeAll { now - $0 > policy.window }
        failures.append(now)
        failuresInARow += 1
        guard failures.count <= policy.maximumRestarts, !isPermanent || wasReady else {
            return .giveUp(failures: failures.count)
        }
        restarts += 1
        return .restart(after: policy.delay(failures: failuresInARow), attempt: restarts)
    }
}
