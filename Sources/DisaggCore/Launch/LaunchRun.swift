internal import Glibc

/// One run of a ``Launcher``: the machine, and what its actions need.
struct LaunchRun {
    /// What happens around the machine.
    enum Event: Sendable {
        case started(Int, ProcessSession)
        case couldNotStart(Int, String)
        case exited(Int, ProcessExit)
        case ready(Int)
        case timer(LaunchMachine.Timer)
        case stop, tick
    }

    /// The command's exit status, once everything is gone.
    private(set) var exitStatus: Int32?

    private let plan: LaunchPlan
    private let settings: Launcher.Settings
    private let events: AsyncStream<Event>.Continuation
    private let identity = "\(getpid())-\(UInt64.random(in: .min ... .max))"
    private let start = ContinuousClock.now
    private var machine: LaunchMachine
    private var console: LaunchConsole
    private var sessions: [Int: ProcessSession] = [:]
    private var lastNotice = ContinuousClock.now

    init(_ launcher: Launcher, console: LaunchConsole, events: AsyncStream<Event>.Continuation) {
        plan = launcher.plan
        settings = launcher.settings
        machine = LaunchMachine(processes: launcher.plan.processes.count)
        self.console = console
        self.events = events
    }

    mutating func begin(_ group: inout TaskGroup<Void>) { perform(machine.begin(), &group) }

    mutating func handle(_ event: Event, _ group: inout TaskGroup<Void>) {
        switch event {
        case .started(let index, let session):
            sessions[index] = session
            if !console.isLive { console.line("\(name(index)) started, pid \(session.id), log \(log(index))") }
            probe(index, &group)
            perform(machine.started(index), &group)
        case .couldNotStart(let index, let reason): perform(machine.couldNotStart(index, reason), &group)
        case .exited(let index, let exit):
            // Its id may now be given to another process: never signal it again.
            sessions[index] = nil
            if machine.phase != .starting, machine.phase != .up { console.line("\(name(index)) stopped") }
            perform(machine.exited(index, exit), &group)
        case .ready(let index):
            if !console.isLive, machine.phase == .starting {
                console.line("\(name(index)) ready after \(seconds) s, \(plan.processes[index].url)")
            }
            perform(machine.ready(index), &group)
        case .timer(let timer): perform(machine.timerFired(timer), &group)
        case .stop: perform(machine.stopRequested(), &group)
        case .tick: showProgress()
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
            case .terminate(let index): sessions[index]?.signalGroup(SIGTERM)
            case .kill(let index): sessions[index]?.signalMembers(SIGKILL)
            case .setTimer(let timer):
                let events = events
                let duration = duration(of: timer)
                group.addTask {
                    if (try? await Task.sleep(for: duration)) != nil { events.yield(.timer(timer)) }
                }
            case .report(let report): show(report)
            case .finish(let status):
                console.clearLive()
                exitStatus = status
            }
        }
    }

    private func duration(of timer: LaunchMachine.Timer) -> Duration {
        switch timer {
        case .ready: settings.readyTimeout
        case .drain: plan.deployment.proxy.drainTimeout + settings.drainMargin
        case .grace: settings.grace
        }
    }

    private func spawn(_ index: Int, _ group: inout TaskGroup<Void>) {
        let events = events
        let command = plan.processes[index].command
        let mark = "\(identity)/\(command.name)"
        group.addTask {
            do throws(CommandError) {
                let exit = try await ChildProcess.run(command, mark: mark) { events.yield(.started(index, $0)) }
                events.yield(.exited(index, exit))
            } catch {
                events.yield(.couldNotStart(index, error.description))
            }
        }
    }

    private func probe(_ index: Int, _ group: inout TaskGroup<Void>) {
        let events = events
        let interval = settings.probeInterval
        let request = HTTPProbe(url: plan.processes[index].readinessURL)
        group.addTask {
            while await request.run() != .status(200) {
                guard (try? await Task.sleep(for: interval)) != nil else { return }
            }
            events.yield(.ready(index))
        }
    }

    // MARK: - What the user sees

    private func name(_ index: Int) -> String { plan.processes[index].command.name }

    private func log(_ index: Int) -> String { plan.processes[index].command.logFile }

    /// Seconds since the start, with one decimal.
    private var seconds: String {
        let tenths = (ContinuousClock.now - start) / .milliseconds(100)
        return "\(Int(tenths) / 10).\(Int(tenths) % 10)"
    }

    private mutating func show(_ report: LaunchMachine.Report) {
        switch report {
        case .allReady: announce()
        case .couldNotStart(let index, let reason): console.problem("error: \(name(index)): \(reason)")
        case .died(let index, let exit, let beforeReady):
            let when = beforeReady ? "before it was ready" : "while it was serving"
            console.problem("error: \(name(index)) ended \(when): \(exit). Its last lines (\(log(index))):")
            let lines = LogTail.lines(of: log(index), count: 20)
            for line in lines { console.problem("  | \(line)") }
            if lines.isEmpty { console.problem("  (it wrote nothing)") }
            console.problem("Stopping everything.")
        case .notReady(let late):
            let limit = ConfigText.text(settings.readyTimeout)
            console.problem("error: not ready within \(limit): \(late.map(name).joined(separator: ", "))")
            for index in late {
                console.problem("\(name(index)), \(log(index)):")
                for line in LogTail.lines(of: log(index), count: 5) { console.problem("  | \(line)") }
            }
            console.problem("Stopping everything. --ready-timeout gives more time.")
        case .stopping:
            console.line("Stopping: the proxy finishes requests in progress. Ctrl-C again ends everything at once.")
        case .killing(let indices): console.line("Killing \(indices.map(name).joined(separator: ", "))")
        }
    }

    private mutating func announce() {
        console.line("All ready after \(seconds) s. Ctrl-C stops everything.")
        for index in plan.processes.indices {
            let padding = String(repeating: " ", count: max(1, 12 - name(index).count))
            console.line("  \(name(index))\(padding)\(plan.processes[index].url)   log \(log(index))")
        }
        console.line("Try it:")
        console.line("  \(plan.curlLine)")
    }

    private mutating func showProgress() {
        guard machine.phase == .starting else { return }
        if console.isLive {
            console.live(
                plan.processes.indices.map { index in
                    let isReady = machine.processes[index] == .ready
                    let padding = String(repeating: " ", count: max(1, 12 - name(index).count))
                    let last = isReady ? plan.processes[index].url : LogTail.lines(of: log(index), count: 1).first ?? ""
                    return "  \(name(index))\(padding)\(isReady ? "ready   " : "starting") \(seconds) s  \(last)"
                })
        } else if ContinuousClock.now - lastNotice >= settings.noticeInterval {
            lastNotice = .now
            let late = plan.processes.indices.filter { machine.processes[$0] != .ready }
            console.line("waiting for \(late.map(name).joined(separator: ", ")) (\(seconds) s)")
        }
    }
}
