internal import Subprocess
internal import SystemPackage

/// Runs one command in a session of its own, its output in its log file.
package enum ChildProcess {
    /// Starts the command and waits until it, and everything it started, is gone.
    ///
    /// - Parameters:
    ///   - command: what to run; its files must exist.
    ///   - mark: marks the command's processes, see ``ProcessSession``.
    ///   - heading: written into the log before anything else.
    ///   - patience: how long processes that outlive the command may take to end by themselves.
    ///   - onStart: called once with the session as soon as the process runs.
    /// - Throws: ``CommandError`` where the log or the program cannot be opened.
    package static func run(
        _ command: EngineCommand, mark: String, heading: String? = nil, patience: Duration = .milliseconds(500),
        onStart: @escaping @Sendable (ProcessSession) -> Void
    ) async throws(CommandError) -> ProcessExit {
        guard let program = command.arguments.first else { throw CommandError("\(command.name) has no program") }
        if let heading { try RunDirectory.append(heading, to: command.logFile) }
        let log = FileDescriptor(rawValue: try RunDirectory.openLog(command.logFile))
        defer { try? log.close() }
        var variables: [Environment.Key: String?] = [Environment.Key(stringLiteral: ProcessSession.markName): mark]
        for (name, value) in command.environment { variables[Environment.Key(stringLiteral: name)] = value }
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
        do {
            let result = try await Subprocess.run(
                .path(FilePath(program)), arguments: Arguments(Array(command.arguments.dropFirst())),
                environment: .inherit.updating(variables), platformOptions: options, input: .none,
                output: .fileDescriptor(log, closeAfterSpawningProcess: false),
                error: .fileDescriptor(log, closeAfterSpawningProcess: false)
            ) { execution in
                let session = ProcessSession(id: execution.processIdentifier.value, mark: mark)
                onStart(session)
                return session
            }
            // The kernel keeps the id of a session that has members, so what is found under it is the child's own.
            _ = await result.closureResult.sweep(patience: patience)
            switch result.terminationStatus {
            case .exited(let code): return .status(code)
            case .signaled(let number): return .signal(number)
            }
        } catch {
            throw CommandError("cannot start \(program): \(error)", exitStatus: 1)
        }
    }
}
