extension LaunchRequest {
    /// Takes over what the environment says: where programs are, and which GPUs a batch system gave.
    package mutating func readEnvironment() {
        searchPath = ExecutableSearch.variable("PATH") ?? ""
        visibleDevices = ExecutableSearch.variable("CUDA_VISIBLE_DEVICES")
        launcher = ExecutableSearch.running ?? "disagg-launch"
    }

    /// Everything that ``up(_:checks:sink:stopRequests:)`` would do, as a script. Notes are comments in it.
    package func script() async throws(CommandError) -> String {
        var notes = ""
        let plan = try await plan(dryRun: true) { notes += "# \($0)\n" }
        return notes + DryRun.script(plan, directory: directory)
    }

    /// Starts the deployment and keeps it running until it is stopped or cannot go on.
    ///
    /// - Parameters:
    ///   - settings: how processes are kept running.
    ///   - checks: whether an error that `disagg-launch check` finds is a reason not to start.
    ///   - sink: where progress and problems are shown.
    ///   - stopRequests: called once, before the first process starts; one element of the stream for each request of the
    ///     user to stop.
    /// - Returns: the command's exit status; nothing is left then.
    /// - Throws: ``CommandError`` where nothing was started.
    package func up(
        _ settings: Launcher.Settings, checks: Bool, sink: LaunchConsole.Sink,
        stopRequests: () async -> AsyncStream<Void>
    ) async throws(CommandError) -> Int32 {
        let note = { (line: String) in sink.output("\(line)\n") }
        let plan = try await plan(dryRun: false, note: note)
        if checks { try await CheckRequest.gate(plan, places: places, path: searchPath, note: note) }
        let stops = await stopRequests()
        let lock = try await Launcher.prepare(
            plan, directory: directory, rotation: settings.rotation, grace: settings.grace, note: note)
        defer { withExtendedLifetime(lock) {} }
        return await Launcher(plan, directory: directory, settings: settings).run(
            stopRequests: stops, console: LaunchConsole(sink))
    }
}
