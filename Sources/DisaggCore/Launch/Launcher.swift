/// Starts a deployment's processes, keeps them running, shows how they do, and ends them all.
///
/// It feeds a ``LaunchMachine`` with what happens and does what the machine says. Files must be written and ports
/// checked before: see ``prepare(_:directory:grace:note:)``.
package struct Launcher: Sendable {
    /// Times of a run.
    package struct Settings: Sendable, Hashable {
        /// All processes must be ready within this time. Large models are downloaded and loaded in it.
        package var readyTimeout = Duration.seconds(1200)
        /// Between SIGTERM and SIGKILL.
        package var grace = Duration.seconds(10)
        /// Added to the proxy's own drain time before it is killed.
        package var drainMargin = Duration.seconds(2)
        /// Between two readiness requests to one process.
        package var probeInterval = Duration.milliseconds(200)
        /// Between two health requests to a process that is ready.
        package var healthInterval = Duration.seconds(5)
        /// A process that was ready and answers nothing for so long is killed.
        package var hangTimeout = Duration.seconds(60)
        /// How long the log lines that prove a bind may come after an engine is healthy.
        package var evidencePatience = Duration.seconds(5)
        /// Without a terminal, how often the processes still waited for are listed.
        package var noticeInterval = Duration.seconds(15)
        /// Between two looks at the sizes of the log files.
        package var rotationInterval = Duration.seconds(2)
        /// When failed processes are started again.
        package var restarts = RestartPolicy()
        /// How large log files may become.
        package var rotation = LogRotation()
        /// Whether a request is sent through the proxy before the deployment counts as up.
        package var proves = true
        /// The preset or file, for `status`.
        package var source = ""

        /// Creates the defaults.
        package init() {}
    }

    /// What to run.
    package var plan: LaunchPlan
    /// Where logs, generated files and the run's state are; it must exist.
    package var directory: String
    /// The run's times.
    package var settings: Settings

    /// Creates a launcher.
    package init(_ plan: LaunchPlan, directory: String, settings: Settings = Settings()) {
        self.plan = plan
        self.directory = directory
        self.settings = settings
    }

    /// Takes the directory over, checks the ports and writes the files, before anything is started.
    ///
    /// - Parameters:
    ///   - grace: how long left-over processes of a killed launcher may take to end.
    ///   - note: called with lines for the user.
    /// - Returns: the directory's lock; to be held until the run is over.
    package static func prepare(
        _ plan: LaunchPlan, directory: String, rotation: LogRotation = LogRotation(), grace: Duration = .seconds(10),
        note: (String) -> Void = { _ in }
    ) async throws(CommandError) -> RunLock {
        var lock: RunLock?
        if ProcFile.names(in: directory) != nil {
            lock = try await RunRecovery.take(directory, grace: grace, note: note)
        }
        try PortCheck.check(plan.processes.flatMap(\.ports))
        try RunDirectory.create(directory)
        let held: RunLock
        if let lock { held = lock } else { held = try await RunRecovery.take(directory, grace: grace, note: note) }
        for process in plan.processes { rotation.putAside(process.command.logFile) }
        for file in plan.processes.flatMap(\.command.files) { try RunDirectory.write(file) }
        return held
    }

    /// Runs the deployment until it is stopped or cannot go on; when this returns, nothing is left.
    ///
    /// - Parameters:
    ///   - stopRequests: one element a request of the user to stop; the first is polite, the second kills.
    ///   - console: where progress and problems are shown.
    /// - Returns: the command's exit status.
    package func run(stopRequests: AsyncStream<Void>, console: LaunchConsole) async -> Int32 {
        let (events, continuation) = AsyncStream.makeStream(of: LaunchRun.Event.self)
        let interval = console.isLive ? Duration.milliseconds(250) : .seconds(1)
        let (settings, logs) = (settings, plan.processes.map(\.command.logFile))
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in stopRequests { continuation.yield(.stop) }
            }
            group.addTask {
                while (try? await Task.sleep(for: interval)) != nil { continuation.yield(.tick) }
            }
            group.addTask {
                while (try? await Task.sleep(for: settings.rotationInterval)) != nil {
                    for log in logs { settings.rotation.check(log) }
                }
            }
            var run = LaunchRun(self, console: console, events: continuation)
            run.begin(&group)
            for await event in events {
                run.handle(event, &group)
                if let status = run.exitStatus {
                    group.cancelAll()
                    return status
                }
            }
            // Only cancellation ends the events early: the caller wants out, so everything goes at once.
            run.killAll()
            group.cancelAll()
            return 1
        }
    }
}
