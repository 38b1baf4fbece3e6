import ArgumentParser
import DisaggCore

/// `disagg-launch logs`: the engines' and the proxy's output.
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print the logs of a deployment's processes, and follow them.",
        discussion: """
            EXAMPLES:
              disagg-launch logs                   the last lines of all
              disagg-launch logs -f prefill        follow all prefill engines
              disagg-launch logs -n 200 decode-0
            """)

    @Argument(help: "Processes (prefill-0) or roles (proxy, prefill, decode). (default: all)")
    var roles: [String] = []
    @Flag(name: .shortAndLong, help: "Go on with new lines until Ctrl-C.")
    var follow = false
    @Option(name: [.customShort("n"), .long], help: "Lines of each file to begin with.")
    var lines = 20
    @OptionGroup var place: RunDirectoryOptions

    func validate() throws {
        guard (0...1_000_000).contains(lines) else {
            throw ValidationError("--lines: expected 0...1000000, got \(lines)")
        }
    }

    func run() async throws {
        let selection = try LogSelection(roles, in: ExecutableSearch.absolute(place.directory))
        let width = selection.files.map(\.name.count).max() ?? 0
        var followers = selection.files.map { LogFollower($0.path) }
        func show(_ lines: [String], of index: Int) {
            let name = selection.files[index].name
            let prefix =
                selection.files.count > 1 ? name + String(repeating: " ", count: width - name.count) + " | " : ""
            for line in lines { Terminal.write("\(prefix)\(line)\n") }
        }
        for index in followers.indices { show(followers[index].last(lines), of: index) }
        while follow {
            try await Task.sleep(for: .milliseconds(200))
            for index in followers.indices { show(followers[index].next(), of: index) }
        }
    }
}
