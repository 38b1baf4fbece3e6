internal import Glibc

/// What the user sees of a run.
extension LaunchRun {
    func name(_ index: Int) -> String { plan.processes[index].command.name }

    func log(_ index: Int) -> String { plan.processes[index].command.logFile }

    /// Seconds since the start, with one decimal.
    var seconds: String {
        let tenths = (ContinuousClock.now - start) / .milliseconds(100)
        return "\(Int(tenths) / 10).\(Int(tenths) % 10)"
    }

    /// The run as `status` shows it.
    var state: RunState {
        RunState(
            launcher: getpid(), launcherTicks: ProcessFacts(getpid())?.startTicks ?? 0, bootID: ProcessFacts.bootID,
            mark: identity, source: settings.source, model: plan.deployment.model,
            handoff: plan.deployment.handoff.rawValue, phase: machine.phase.rawValue, startedAt: startedAt,
            processes: plan.processes.indices.map { index in
                let process = plan.processes[index]
                let session = sessions[index]
                return RunState.Process(
                    name: name(index), role: process.role, state: machine.processes[index].rawValue, pid: session?.id,
                    startTicks: session.flatMap { ProcessFacts($0.id)?.startTicks }, url: process.url,
                    healthURL: process.healthURL, log: log(index), gpus: process.gpus,
                    restarts: machine.restarts[index].restarts, since: since[index], cause: causes[index])
            })
    }

    /// Looks for the reason of an end and keeps it for `status`.
    ///
    /// - Returns: whether a new start cannot help.
    mutating func diagnose(_ index: Int, _ exit: ProcessExit) -> Bool {
        guard machine.isServing, machine.processes[index] == .running || machine.processes[index] == .ready else {
            return false
        }
        let finding = LogDiagnosis.find(in: LogTail.linesOfLastStart(of: log(index), limit: 1 << 20))
        causes[index] = finding.map { "\($0.cause.explanation) (\($0.line))" } ?? exit.description
        findings[index] = finding
        return finding?.cause.isPermanent ?? false
    }

    mutating func show(_ report: LaunchMachine.Report) {
        switch report {
        case .allReady: announce()
        case .couldNotStart(let index, let reason): console.problem("error: \(name(index)): \(reason)")
        case .died(let index, let exit, let beforeReady): showDeath(index, exit, beforeReady)
        case .faulty(let index, let reason):
            console.problem("error: \(name(index)) is killed: \(reason)")
            showLog(index, lines: 5)
        case .restarting(let index, let wait, let attempt):
            console.line("Starting \(name(index)) again in \(ConfigText.text(wait)) (restart \(attempt))")
        case .following(let index, let leader):
            console.line(
                "Restarting \(name(index)), too: it has talked to \(name(leader)), and LMCache does not connect again")
        case .givenUp(let index, let failures, let goesOn): showGivenUp(index, failures, goesOn)
        case .recovered: console.line("All ready again after \(seconds) s.")
        case .notProven(let reason):
            console.problem("error: all processes are ready, but the hand-off does not work: \(reason)")
            for index in plan.processes.indices {
                guard let found = LogDiagnosis.find(in: LogTail.linesOfLastStart(of: log(index), limit: 1 << 20)) else {
                    continue
                }
                console.problem("\(name(index)): \(found.line)\n  which means: \(found.cause.explanation)")
                console.problem("  what to do: \(found.cause.fix)")
            }
        case .notReady(let late):
            let limit = ConfigText.text(settings.readyTimeout)
            console.problem("error: not ready within \(limit): \(late.map(name).joined(separator: ", "))")
            for index in late { showLog(index, lines: 5) }
            console.problem("Stopping everything. --ready-timeout gives more time.")
        case .stopping:
            console.line("Stopping: the proxy finishes requests in progress. Ctrl-C again ends everything at once.")
        case .killing(let indices): console.line("Killing \(indices.map(name).joined(separator: ", "))")
        }
    }

    private mutating func showDeath(_ index: Int, _ exit: ProcessExit, _ beforeReady: Bool) {
        let when = beforeReady ? "before it was ready" : "while it was serving"
        console.problem("error: \(name(index)) ended \(when): \(exit)")
        if let finding = findings[index] {
            console.problem("  the log says:   \(finding.line)")
            console.problem("  which means:    \(finding.cause.explanation)")
            console.problem("  what to do:     \(finding.cause.fix)")
        }
        // The whole story once; a loop of it would hide everything else.
        showLog(index, lines: machine.restarts[index].restarts <= 1 ? 20 : 5)
    }

    private mutating func showLog(_ index: Int, lines count: Int) {
        console.problem("Its last lines (\(log(index))):")
        let lines = LogTail.lines(of: log(index), count: count)
        for line in lines { console.problem("  | \(line)") }
        if lines.isEmpty { console.problem("  (it wrote nothing)") }
    }

    private mutating func showGivenUp(_ index: Int, _ failures: Int, _ goesOn: Bool) {
        let times = failures > 1 ? " after \(failures) failures" : ""
        console.problem("error: \(name(index)) is given up\(times): \(causes[index] ?? "it cannot be started")")
        console.problem(
            goesOn
                ? "The rest goes on without it. Remove the cause and start the deployment anew."
                : "Stopping everything.")
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

    mutating func showProgress() {
        guard machine.phase == .starting || machine.phase == .proving else { return }
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
