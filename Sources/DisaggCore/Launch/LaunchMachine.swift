/// Decides what to do when processes start, become ready, die, or the user asks to stop. It does no I/O.
///
/// ```
/// starting ──all ready──▶ up ──stop, or a death──▶ draining ──proxy gone, or its time is up──▶ stopping
///     └──────────stop, a death, time is up──────────────────────────────────────────────────────▶ │
///                                          killing ◀──grace is over, or a second stop──────────────┤
///                                             └───────────all gone───────────▶ finished ◀──all gone┘
/// ```
/// Process 0 is the proxy. While it drains, the engines stay: answers in progress need them. The first cause decides
/// the exit status: 0 where the user asked to stop, 1 for everything else.
package struct LaunchMachine: Sendable {
    /// What all processes together are doing.
    package enum Phase: Sendable, Hashable { case starting, up, draining, stopping, killing, finished }

    /// A deadline that the driver measures.
    package enum Timer: Sendable, Hashable { case ready, drain, grace }

    /// What the user is told.
    package enum Report: Sendable, Hashable {
        case allReady
        case couldNotStart(Int, String)
        case died(Int, ProcessExit, beforeReady: Bool)
        case notReady([Int])
        case stopping
        case killing([Int])
    }

    /// What the driver must do.
    package enum Action: Sendable, Hashable {
        case start(Int)
        /// Ask a process to end: SIGTERM to its group.
        case terminate(Int)
        /// End everything in a process's session: SIGKILL.
        case kill(Int)
        /// Start a deadline; an earlier one of the same kind is replaced.
        case setTimer(Timer)
        case report(Report)
        /// Nothing is left; the command's exit status.
        case finish(Int32)
    }

    /// What one process is doing.
    package enum ProcessState: Sendable, Hashable { case idle, spawning, running, ready, gone }

    /// What each process is doing, in start order.
    package private(set) var processes: [ProcessState]
    /// What all together are doing.
    package private(set) var phase = Phase.starting
    private var exitStatus: Int32 = 0

    /// Creates a machine for that many processes, the proxy first.
    package init(processes: Int) { self.processes = Array(repeating: .idle, count: processes) }

    /// Starts the first process; each that runs starts the next, so the order is the plan's.
    package mutating func begin() -> [Action] { [.setTimer(.ready)] + startNext() }

    private mutating func startNext() -> [Action] {
        guard let next = processes.firstIndex(of: .idle) else { return [] }
        processes[next] = .spawning
        return [.start(next)]
    }

    /// A process runs now.
    package mutating func started(_ index: Int) -> [Action] {
        guard processes.indices.contains(index), processes[index] == .spawning else { return [] }
        processes[index] = .running
        switch phase {
        case .starting: return startNext()
        case .up, .finished: return []
        case .draining: return index == 0 ? [.terminate(0)] : []
        case .stopping: return [.terminate(index)]
        case .killing: return [.kill(index)]
        }
    }

    /// A process could not be started.
    package mutating func couldNotStart(_ index: Int, _ reason: String) -> [Action] {
        guard processes.indices.contains(index), processes[index] == .spawning else { return [] }
        processes[index] = .gone
        guard phase == .starting else { return advance() }
        return [.report(.couldNotStart(index, reason))] + stop(status: 1)
    }

    /// A process answers its readiness request.
    package mutating func ready(_ index: Int) -> [Action] {
        guard phase == .starting, processes.indices.contains(index), processes[index] == .running else { return [] }
        processes[index] = .ready
        guard processes.allSatisfy({ $0 == .ready }) else { return [] }
        phase = .up
        return [.report(.allReady)]
    }

    /// A process has ended, and all that was left of its session.
    package mutating func exited(_ index: Int, _ exit: ProcessExit) -> [Action] {
        guard processes.indices.contains(index), processes[index] != .gone else { return [] }
        processes[index] = .gone
        switch phase {
        case .starting, .up:
            return [.report(.died(index, exit, beforeReady: phase == .starting))] + stop(status: 1)
        case .draining, .stopping, .killing: return advance()
        case .finished: return []
        }
    }

    /// The user asked to stop: politely the first time, at once the second.
    package mutating func stopRequested() -> [Action] {
        switch phase {
        case .starting, .up: [.report(.stopping)] + stop(status: 0)
        case .draining, .stopping: kill()
        case .killing, .finished: []
        }
    }

    /// A deadline has passed.
    package mutating func timerFired(_ timer: Timer) -> [Action] {
        switch (timer, phase) {
        case (.ready, .starting):
            let late = processes.indices.filter { processes[$0] != .ready }
            return [.report(.notReady(late))] + stop(status: 1)
        case (.drain, .draining):
            return [.report(.killing([0])), .kill(0)] + terminateEngines()
        case (.grace, .stopping): return kill()
        default: return []
        }
    }

    private mutating func stop(status: Int32) -> [Action] {
        exitStatus = status
        // Only a proxy that served can have answers in progress.
        guard phase == .up, processes[0] != .gone else { return terminateEngines() }
        phase = .draining
        return [.setTimer(.drain), .terminate(0)]
    }

    private mutating func terminateEngines() -> [Action] {
        phase = .stopping
        let alive = processes.indices.filter { processes[$0] == .running || processes[$0] == .ready }
        return [.setTimer(.grace)] + alive.map { .terminate($0) } + advance()
    }

    private mutating func kill() -> [Action] {
        phase = .killing
        let alive = processes.indices.filter { processes[$0] == .running || processes[$0] == .ready }
        return (alive.isEmpty ? [] : [.report(.killing(alive))]) + alive.map { .kill($0) }
    }

    private mutating func advance() -> [Action] {
        if phase == .draining, processes[0] == .gone { return terminateEngines() }
        guard phase != .draining, processes.allSatisfy({ $0 == .gone || $0 == .idle }) else { return [] }
        phase = .finished
        return [.finish(exitStatus)]
    }
}
