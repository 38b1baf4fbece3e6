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
    @Flag(help: "One JSON object in place of the table.") var json = false
    @Flag(help: "Show it again and again until Ctrl-C.") var watch = false
    @Option(help: "With --watch: seconds between two looks. (default: 2)", transform: seconds(0.1...3600))
    var interval = Duration.seconds(2)

    func run() async throws {
        while true {
            guard let status = try await RunStatus.read(place.path) else {
                throw CommandError("nothing runs in \(place.path); name the folder of `up` with --log-dir")
            }
            let text = json ? status.json(now: time(nil)) : status.text(now: time(nil))
            // On a terminal each look takes the place of the one before.
            Terminal.write((watch && !json && Terminal.isTerminal ? "\u{1B}[H\u{1B}[2J" : "") + text)
            guard watch else { throw ExitCode(status.exitStatus) }
            try await Task.sleep(for: interval)
        }
    }
}
