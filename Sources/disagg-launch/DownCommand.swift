import ArgumentParser
import DisaggCore

/// `disagg-launch down`: stops a deployment from another terminal.
struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stop a running deployment, and whatever a killed launcher left.",
        discussion: """
            Requests in progress may end first, as with Ctrl-C in the terminal of `up`.

            EXIT STATUS: 0 nothing is left; 1 something does not end; 2 wrong arguments.
            """)

    @OptionGroup var place: RunDirectoryOptions
    @Option(help: "Seconds after which everything is killed. (default: 60)", transform: seconds(0...3600))
    var timeout = Duration.seconds(60)

    func run() async throws {
        try await RunStop.run(place.path, timeout: timeout) { Terminal.write("\($0)\n") }
    }
}
