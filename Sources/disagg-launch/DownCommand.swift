import ArgumentParser
import DisaggCore

/// `disagg-launch down`: stops a deployment from another terminal.
struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Stop a running deployment, and whatever a killed launcher left.",
        discussion: """
            Requests in progress may end first, as with Ctrl-C in the terminal of `up`.

            EXIT STATUS: 0 nothing is left; 1 something does not end.
            """)

    @OptionGroup var place: RunDirectoryOptions
    @Option(help: "Seconds after which everything is killed.")
    var timeout = 60.0

    func validate() throws {
        guard timeout >= 0, timeout <= 3600 else {
            throw ValidationError("--timeout: expected 0...3600 seconds, got \(timeout)")
        }
    }

    func run() async throws {
        try await RunStop.run(ExecutableSearch.absolute(place.directory), timeout: .seconds(timeout)) {
            Terminal.write("\($0)\n")
        }
    }
}
