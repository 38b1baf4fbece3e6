/// Decides what to do when processes start, become ready, fail, or the user asks to stop. It does no I/O.
///
/// ```
/// starting ──all ready──▶ proving ──a request went through──▶ up ──stop──▶ draining ──proxy gone, or its time is up──┐
///     │  ▲──a process failed─┘ │                              │                                                      ▼
///     └──────────stop, a process given up, time is up─────────┴──nothing to drain──▶ stopping ──grace is over──▶ killing
///                                                                                      └──all gone──▶ finished ◀──┘
/// ```
/// Process 0 is the proxy. While it drains, the engines stay: answers in progress need them. A process that fails is
/// started again after a wait (``RestartMachine``), and with it those that follow it: an LMCache prefill engine that has
/// talked to a decode engine never reaches its successor (Docs/EngineFacts.md; LMCache 0.5.6: no second handshake). Where
/// a process is given up, the rest goes on as long as another of its role is left, and stops otherwise.
///
/// The first cause decides the exit status: 0 where the user asked to stop, 1 for everything else.
package struct LaunchMachine: Sendable {
    /// What all processes together are doing.
    package enum Phase: String, Sendable, Hashable { case starting, proving, up, draining, stopping, killing, finished }

    /// A deadline that the driver measures.
    package enum Timer: Sendable, Hashable { case ready, drain, grace }

    /// What the user is told.
    package enum Report: Sendable, Hashable {
        case allReady
        case couldNotStart(Int, String)
        case died(Int, ProcessExit, beforeReady: Bool)
        /// It runs, but cannot serve; it is killed and counts as failed.
        case faulty(Int, String)
        case restarting(Int, after: Duration, attempt: Int)
        /// A process is started again because another one was.
        case following(Int, leader: Int)
        /// A process is given up; whether the rest goes on.
        case givenUp(Int, failures: Int, goesOn: Bool)
        /// All that are not given up are ready again, and a request went through.
        case recovered
        case notReady([Int])
        case notProven(String)
        case stopping
        case killing([Int])
    }

    /// What the driver must do.
    package enum Action: Sendable, Hashable {
        case start(Int)
        /// Call ``LaunchMachine/restartDue(_:)`` after a wait.
        case startLater(Int, Duration)
        /// Ask a process to end: SIGTERM to its group.
        case terminate(Int)
        /// Ask a process to end, and kill its session where it stays longer than the grace.
        case retire(Int)
        /// End everything in a process's session: SIGKILL.
        case kill(Int)
        /// Send a request through the proxy and say what came of it; an earlier attempt counts no more.
        case prove
        /// Start a deadline; an earlier one of the same kind is replaced.
        case setTimer(Timer)
        case report(Report)
        /// Nothing is left; the command's exit status.
        case finish(Int32)
    }

    /// What one process is doing.
    package enum ProcessState: String, Sendable, Hashable {
        case idle, spawning, running, ready
        /// Asked to end, to be started again with the process it follows.
        case retiring
        /// Found faulty and killed.
        case condemned
        /// Waits for its restart.
        case waiting
        /// Starts as soon as those it follows run.
        case held
        /// Given up.
        case failed
        case gone

        var isAlive: Bool { self == .running || self == .ready || self == .retiring || self == .condemned }
        /// No process, now and later, unless it is started anew.
        var isOver: Bool { self == .gone || self == .idle || self == .failed }
    }

    /// One process of the deployment.
    package struct Member: Sendable, Hashable {
        /// Another one with this role can take its work.
        package var role: String
        /// Processes that this one must not outlive: where one of them fails, this one is restarted, too.
        package var follows: [Int]

        /// Describes a process.
        package init(role: String, follows: [Int] = []) {
            self.role = role
            self.follows = follows
        }
    }

    /// What each process is doing, in start order.
    package internal(set) var processes: [ProcessState]
    /// What all together are doing.
    package internal(set) var phase = Phase.starting
    let members: [Member]
    var restarts: [RestartMachine]
    /// Faults of condemned processes that no restart removes.
    var permanentFaults: Set<Int> = []
    private var exitStatus: Int32 = 0

    /// Creates a machine for processes in start order, the proxy first.
    package init(_ members: [Member], policy: RestartPolicy = RestartPolicy()) {
        self.members = members
        processes = Array(repeating: .idle, count: members.count)
        restarts = Array(repeating: RestartMachine(policy), count: members.count)
    }

    /// Whether everything that is not given up is ready.
    var isComplete: Bool {
        processes.allSatisfy { $0 == .ready || $0 == .failed } && processes.contains(.ready)
    }

    /// Whether processes are kept running.
    var isServing: Bool { phase == .starting || phase == .proving || phase == .up }

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
        case .starting, .proving, .up: return startHeld() + startNext()
        case .finished: return []
        case .draining: return index == 0 ? [.terminate(0)] : []
        case .stopping: return [.terminate(index)]
        case .killing: return [.kill(index)]
        }
    }

    /// A process could not be started.
    package mutating func couldNotStart(_ index: Int, _ reason: String) -> [Action] {
        guard processes.indices.contains(index), processes[index] == .spawning else { return [] }
        guard isServing else {
            processes[index] = .gone
            return advance()
        }
        // What was there at the first start is missing now; waiting brings nothing back.
        return [.report(.couldNotStart(index, reason))] + giveUp(index, failures: 1)
    }

    /// A process answers its readiness requests.
    package mutating func ready(_ index: Int, at now: Duration) -> [Action] {
        guard isServing, processes.indices.contains(index), processes[index] == .running else { return [] }
        processes[index] = .ready
        restarts[index].becameReady(at: now)
        return prove()
    }

    /// Asks for the proof as soon as everything is ready.
    mutating func prove() -> [Action] {
        guard isServing, isComplete else { return [] }
        if phase == .starting { phase = .proving }
        return [.prove]
    }

    /// A request went through the proxy and both engines.
    package mutating func proven() -> [Action] {
        guard isComplete else { return [] }
        if phase == .up { return [.report(.recovered)] }
        guard phase == .proving else { return [] }
        phase = .up
        return [.report(.allReady)]
    }

    /// The deployment looks ready but serves no request as it should.
    package mutating func notProven(_ reason: String) -> [Action] {
        // While a process is being restarted a request has every right to fail; the proof is asked for again.
        guard isComplete, phase == .proving || phase == .up else { return [] }
        return [.report(.notProven(reason))] + (phase == .up ? [] : stop(status: 1))
    }

    /// A process has ended, and all that was left of its session.
    ///
    /// - Parameter isPermanent: see ``RestartMachine/failed(at:isPermanent:)``.
    package mutating func exited(_ index: Int, _ exit: ProcessExit, isPermanent: Bool = false, at now: Duration)
        -> [Action]
    {
        guard processes.indices.contains(index), !processes[index].isOver else { return [] }
        guard isServing else {
            processes[index] = .gone
            return advance()
        }
        return failed(index, exit, isPermanent: isPermanent, at: now)
    }

    /// The user asked to stop: politely the first time, at once the second.
    package mutating func stopRequested() -> [Action] {
        switch phase {
        case .starting, .proving, .up: [.report(.stopping)] + stop(status: 0)
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

    mutating func stop(status: Int32) -> [Action] {
        exitStatus = status
        // Their restarts are called off.
        for index in processes.indices where processes[index] == .waiting || processes[index] == .held {
            processes[index] = .gone
        }
        // Only a proxy that served can have answers in progress.
        guard phase == .up, processes[0].isAlive else { return terminateEngines() }
        phase = .draining
        return [.setTimer(.drain), .terminate(0)]
    }

    private mutating func terminateEngines() -> [Action] {
        phase = .stopping
        let alive = processes.indices.filter { processes[$0].isAlive }
        return [.setTimer(.grace)] + alive.map { .terminate($0) } + advance()
    }

    private mutating func kill() -> [Action] {
        phase = .killing
        let alive = processes.indices.filter { processes[$0].isAlive }
        return (alive.isEmpty ? [] : [.report(.killing(alive))]) + alive.map { .kill($0) }
    }

    private mutating func advance() -> [Action] {
        if phase == .draining, !processes[0].isAlive, processes[0] != .spawning { return terminateEngines() }
        guard phase != .draining, processes.allSatisfy(\.isOver) else { return [] }
        phase = .finished
        return [.finish(exitStatus)]
    }
}
