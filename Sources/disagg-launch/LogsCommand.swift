import ArgumentParser
import DisaggCore

/// `disagg-launch logs`: the engines' and the proxy's output.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Print the logs of a deployment's processes, and follow them.",
        discussion: """
            EXAMPLES:
              disagg-launch logs                   the last lines of all
              disagg-launch logs -f prefill        follow all prefill engines
              disagg-launch logs -n 200 decode-0

            EXIT STATUS: 0 printed; 2 there is no such log.
            """)

    @Argument(help: "Processes (prefill-0) or roles (proxy, prefill, decode). (default: all)") var roles: [String] = []
    @Flag(name: .shortAndLong, help: "Go on with new lines until Ctrl-C.") var follow = false
    @Option(
        name: [.customShort("n"), .long], help: "Lines of each file to begin with. (default: 20)",
        transform: number(0...1_000_000))
    var lines = 20
    @OptionGroup var place: RunDirectoryOptions

    func run() async throws {
        var view = LogView(try LogSelection(roles, in: place.path))
        Terminal.write(view.last(lines))
        while follow {
            try await Task.sleep(for: .milliseconds(200))
            Terminal.write(view.next())
        }
    }
}
