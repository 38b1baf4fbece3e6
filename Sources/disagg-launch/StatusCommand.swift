import ArgumentParser
import DisaggCore
import Glibc

/// `disagg-launch status`: how a deployment does.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show a running deployment's processes: state, health, restarts, last failure.",
        discussion: """
            EXAMPLES:
              disagg-launch status
              disagg-launch status --watch
              disagg-launch status --log-dir /var/log/disagg --json

            EXIT STATUS: 0 all is ready; 1 something is not; 2 nothing runs there.
            """)

    @OptionGroup var place: RunDirectoryOptions
    @Flag(help: "One JSON object in place of the table.")
    var json = false
    @Flag(help: "Show it again and again until Ctrl-C.")
    var watch = false
    @Option(help: "With --watch: seconds between two looks.")
    var interval = 2.0

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else {
            throw ValidationError("--interval: expected 0.1...3600 seconds, got \(interval)")
        }
    }

    func run() async throws {
        let directory = ExecutableSearch.absolute(place.directory)
        while true {
            guard let status = try await RunStatus.read(directory) else {
                throw CommandError("nothing runs in \(directory); name the folder of `up` with --log-dir")
            }
            let text = json ? status.json(now: time(nil)) : status.text(now: time(nil))
            // On a terminal each look takes the place of the one before.
            Terminal.write((watch && !json && isatty(STDOUT_FILENO) == 1 ? "\u{1B}[H\u{1B}[2J" : "") + text)
            guard watch else {
                if status.exitStatus != 0 { throw ExitCode(status.exitStatus) }
                return
            }
            try await Task.sleep(for: .seconds(interval))
        }
    }
}

/// Where a deployment runs.
struct RunDirectoryOptions: ParsableArguments {
    @Option(
        name: .customLong("log-dir"),
        help: ArgumentHelp("The folder that `up` was given: logs, generated files and state.", valueName: "folder"))
    var directory = "logs"
}
