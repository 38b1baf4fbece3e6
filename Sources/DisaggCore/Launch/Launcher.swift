/// Starts a deployment's processes, shows how they come up, and ends them all.
///
/// It feeds a ``LaunchMachine`` with what happens and does what the machine says. Files must be written and ports
/// checked before: see ``prepare(_:directory:)``.
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
        /// Without a terminal, how often the processes still waited for are listed.
        package var noticeInterval = Duration.seconds(15)

        /// Creates the defaults.
        package init() {}
    }

    /// What to run.
    package var plan: LaunchPlan
    /// The run's times.
    package var settings: Settings

    /// Creates a launcher.
    package init(_ plan: LaunchPlan, settings: Settings = Settings()) {
        self.plan = plan
        self.settings = settings
    }

    /// Checks the ports and writes the files, before anything is started.
    package static func prepare(_ plan: LaunchPlan, directory: String) throws(CommandError) {
        try PortCheck.check(plan.processes.flatMap(\.ports))
        try RunDirectory.create(directory)
        for file in plan.processes.flatMap(\.command.files) { try RunDirectory.write(file) }
    }

    /// Runs the deployment until it is stopped or a process dies; when this returns, nothing is left.
    ///
    /// - Parameters:
    ///   - stopRequests: one element a request of the user to stop; the first is polite, the second kills.
    ///   - console: where progress and problems are shown.
    /// - Returns: the command's exit status.
    package func run(stopRequests: AsyncStream<Void>, console: LaunchConsole) async -> Int32 {
        let (events, continuation) = AsyncStream.makeStream(of: LaunchRun.Event.self)
        let interval = console.isLive ? Duration.milliseconds(250) : .seconds(1)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in stopRequests { continuation.yield(.stop) }
            }
            group.addTask {
                while (try? await Task.sleep(for: interval)) != nil { continuation.yield(.tick) }
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
