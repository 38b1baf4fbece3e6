internal import Glibc

/// One run of a ``Launcher``: the machine, and what its actions need.
struct LaunchRun {
    /// What happens around the machine. The second number of a process's event says which of its runs it belongs to.
    enum Event: Sendable {
        case started(Int, Int, ProcessSession)
        case couldNotStart(Int, Int, String)
        case exited(Int, Int, ProcessExit)
        case watched(Int, Int, EngineWatch.Event)
        case restartDue(Int)
        case retirementOver(Int, Int)
        case proof(Int, PDProof.Verdict)
        case timer(LaunchMachine.Timer)
        case stop, tick
    }

    /// The command's exit status, once everything is gone.
    private(set) var exitStatus: Int32?

    let plan: LaunchPlan
    let settings: Launcher.Settings
    let directory: String
    private let events: AsyncStream<Event>.Continuation
    let identity = "\(getpid())-\(UInt64.random(in: .min ... .max))"
    let start = ContinuousClock.now
    let startedAt = time(nil)
    var machine: LaunchMachine
    var console: LaunchConsole
    var sessions: [Int: ProcessSession] = [:]
    var lastNotice = ContinuousClock.now
    /// Why each process last failed, in one line.
    var causes: [Int: String] = [:]
    /// What each process's log said about its last end.
    var findings: [Int: LogDiagnosis.Finding] = [:]
    /// When each process came into its state, in seconds since 1970.
    var since: [Int]
    /// How often each process was started.
    private var runs: [Int]
    private var proofs = 0
    private var written = ""

    init(_ launcher: Launcher, console: LaunchConsole, events: AsyncStream<Event>.Continuation) {
        plan = launcher.plan
        settings = launcher.settings
        directory = launcher.directory
        machine = LaunchMachine(launcher.plan.members, policy: launcher.settings.restarts)
        runs = Array(repeating: 0, count: launcher.plan.processes.count)
        since = Array(repeating: startedAt, count: launcher.plan.processes.count)
        self.console = console
        self.events = events
    }

    /// Since the run began.
    private var now: Duration { ContinuousClock.now - start }

    mutating func begin(_ group: inout TaskGroup<Void>) {
        // Before the first process: should the launcher be killed, the next one finds them by this file.
        writeState()
        perform(machine.begin(), &group)
    }

    mutating func handle(_ event: Event, _ group: inout TaskGroup<Void>) {
        let before = machine.processes
        switch event {
        case .started(let index, let run, let session):
            guard run == runs[index] else { return }
            sessions[index] = session
            if !console.isLive || machine.phase == .up {
                console.line("\(name(index)) started, pid \(session.id), log \(log(index))")
            }
            perform(machine.started(index), &group)
        case .couldNotStart(let index, let run, let reason):
            guard run == runs[index] else { return }
            causes[index] = reason
            perform(machine.couldNotStart(index, reason), &group)
        case .exited(let index, let run, let exit):
            guard run == runs[index] else { return }
            // Its id may now be given to another process: never signal it again.
            sessions[index] = nil
            if !machine.isServing { console.line("\(name(index)) stopped") }
            perform(machine.exited(index, exit, isPermanent: diagnose(index, exit), at: now), &group)
        case .watched(let index, let run, let event):
            guard run == runs[index] else { return }
            watched(index, event, &group)
        case .restartDue(let index): perform(machine.restartDue(index), &group)
        case .retirementOver(let index, let run):
            if run == runs[index], machine.processes[index] == .retiring { sessions[index]?.signalMembers(SIGKILL) }
        case .proof(let number, let verdict):
            guard number == proofs else { return }
            switch verdict {
            case .proven: perform(machine.proven(), &group)
            case .failed(let reason): perform(machine.notProven(reason), &group)
            case .unclear(let reason):
                if machine.isServing { console.line("The hand-off was not proven: \(reason)") }
                perform(machine.proven(), &group)
            }
        case .timer(let timer): perform(machine.timerFired(timer), &group)
        case .stop: perform(machine.stopRequested(), &group)
        case .tick: showProgress()
        }
        for index in machine.processes.indices where machine.processes[index] != before[index] {
            since[index] = time(nil)
        }
        writeState()
    }

    private mutating func watched(_ index: Int, _ event: EngineWatch.Event, _ group: inout TaskGroup<Void>) {
        switch event {
        case .doubt(let reason): console.line("\(name(index)): \(reason)")
        case .faulty(let reason, let isPermanent):
            causes[index] = reason
            perform(machine.faulty(index, reason, isPermanent: isPermanent), &group)
        case .ready:
            if !console.isLive || machine.phase == .up, machine.isServing {
                console.line("\(name(index)) ready after \(seconds) s, \(plan.processes[index].url)")
            }
            perform(machine.ready(index, at: now), &group)
        }
    }

    /// Ends everything without waiting.
    func killAll() {
        for session in sessions.values { session.signalMembers(SIGKILL) }
    }

    // MARK: - Actions

    private mutating func perform(_ actions: [LaunchMachine.Action], _ group: inout TaskGroup<Void>) {
        for action in actions {
            switch action {
            case .start(let index): spawn(index, &group)
            case .startLater(let index, let wait): later(wait, .restartDue(index), &group)
            case .terminate(let index): sessions[index]?.signalGroup(SIGTERM)
            case .retire(let index):
                sessions[index]?.signalGroup(SIGTERM)
                later(settings.grace, .retirementOver(index, runs[index]), &group)
            case .kill(let index): sessions[index]?.signalMembers(SIGKILL)
            case .prove: prove(&group)
            case .setTimer(let timer): later(duration(of: timer), .timer(timer), &group)
            case .report(let report): show(report)
            case .finish(let status):
                console.clearLive()
                exitStatus = status
            }
        }
    }

    private func later(_ wait: Duration, _ event: Event, _ group: inout TaskGroup<Void>) {
        let events = events
        group.addTask {
            if (try? await Task.sleep(for: wait)) != nil { events.yield(event) }
        }
    }

    private func duration(of timer: LaunchMachine.Timer) -> Duration {
        switch timer {
        case .ready: settings.readyTimeout
        case .drain: plan.deployment.proxy.drainTimeout + settings.drainMargin
        case .grace: settings.grace
        }
    }

    /// Starts a process and watches it until it ends.
    private mutating func spawn(_ index: Int, _ group: inout TaskGroup<Void>) {
        runs[index] += 1
        let events = events
        let run = runs[index]
        let process = plan.processes[index]
        let mark = "\(identity)/\(process.command.name)"
        let heading = "\(LogTail.startMark)start \(run) of \(process.command.name), \(WallClock.text(time(nil)))"
        let watch = EngineWatch(
            process: process, probeInterval: settings.probeInterval, healthInterval: settings.healthInterval,
            hangTimeout: settings.hangTimeout, evidencePatience: settings.evidencePatience,
            // The first start has a deadline that all share.
            readyTimeout: machine.phase == .up ? settings.readyTimeout : nil)
        group.addTask {
            await withTaskGroup(of: Void.self) { group in
                do throws(CommandError) {
                    let (sessions, session) = AsyncStream.makeStream(of: ProcessSession.self)
                    group.addTask {
                        for await started in sessions {
                            events.yield(.started(index, run, started))
                            await watch.run { events.yield(.watched(index, run, $0)) }
                            return
                        }
                    }
                    let exit = try await ChildProcess.run(process.command, mark: mark, heading: heading) {
                        session.yield($0)
                        session.finish()
                    }
                    events.yield(.exited(index, run, exit))
                } catch {
                    events.yield(.couldNotStart(index, run, error.description))
                }
                group.cancelAll()
            }
        }
    }

    private mutating func prove(_ group: inout TaskGroup<Void>) {
        proofs += 1
        let number = proofs
        guard settings.proves, let proof = plan.proof else {
            events.yield(.proof(number, .proven))
            return
        }
        let events = events
        group.addTask { events.yield(.proof(number, await proof.run())) }
    }

    /// Writes what `status` reads, where it changed. That it cannot be written is no reason to stop.
    private mutating func writeState() {
        let path = "\(directory)/\(RunState.fileName)"
        guard exitStatus == nil else {
            unlink(path)
            return
        }
        let text = state.json
        guard text != written else { return }
        written = text
        try? RunDirectory.replace(EngineCommand.File(path: path, contents: text))
    }
}
