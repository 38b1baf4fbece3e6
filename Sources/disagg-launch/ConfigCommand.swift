import ArgumentParser
import DisaggCore

/// `disagg-launch config`: writes the files that `up` would use.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Write every configuration file of a deployment, and its commands as JSON; start nothing.",
        discussion: """
            Writes one LMCache file for each engine that needs one, the resolved deployment that the proxy reads, and \
            commands.json with the arguments, the environment and the ports of every process. Engines that the \
            deployment names by urls are included: copy their files to their machines.

            EXAMPLES:
              disagg-launch config 1p1d --output configuration
              disagg-launch config my.yaml --lmcache-version 0.4.4

            EXIT STATUS: 0 written; 2 wrong arguments or file.
            """)

    @Argument(help: ArgumentHelp("A preset or a deployment file.", valueName: "preset|file")) var source: String
    @Option(help: "Directory for the files.") var output = "configuration"
    @OptionGroup var changes: DeploymentChanges

    func run() async throws {
        let request = changes.request(source, in: output)
        let (deployment, places) = try request.configuration { Terminal.writeError("\($0)\n") }
        for path in try ConfigurationOutput(deployment, places: places).write() { Terminal.write("\(path)\n") }
    }
}
