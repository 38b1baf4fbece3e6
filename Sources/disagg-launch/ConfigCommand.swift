import ArgumentParser
import DisaggCore

/// `disagg-launch config`: writes the files that `up` would use.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Write every configuration file of a deployment, and its commands as JSON; start nothing.",
        usage: "disagg-launch config <preset|file> [<options>]",
        discussion: """
            Writes one LMCache file for each engine that needs one, the resolved deployment that the proxy reads, and \
            commands.json with the arguments, the environment and the ports of every process. Engines that the \
            deployment names by urls are included: copy their files to their machines.

            EXAMPLES:
              disagg-launch config 1p1d --output configuration
              disagg-launch config my.yaml --lmcache-version 0.4.4

            EXIT STATUS: 0 written; 2 wrong arguments or file.
            """)

    @Argument(help: ArgumentHelp("A preset or a deployment file.", valueName: "preset|file"))
    var source: String

    @Option(help: "Directory for the files.")
    var output = "configuration"

    @OptionGroup var changes: DeploymentChanges

    func run() async throws {
        var request = LaunchRequest(source: source)
        try changes.apply(to: &request)
        request.directory = ExecutableSearch.absolute(output)
        let (deployment, places) = try request.configuration { Terminal.writeError("\($0)\n") }
        let paths = try ConfigurationOutput(deployment, places: places).write()
        for path in paths { Terminal.write("\(path)\n") }
    }
}

/// Options that replace fields of a deployment file, shared by the commands that read one.
struct DeploymentChanges: ParsableArguments {
    @Option(help: "Model name or path, in place of the file's.")
    var model: String?

    @Option(name: .customLong("model-config"), help: "The model's config.json, in place of the built-in table.")
    var modelConfig: String?

    @Option(
        name: .customLong("lmcache-version"),
        help: "LMCache version to write for or to check against. Default: the installed one, or the newest known.")
    var lmcacheVersion: String?

    @Option(name: .customLong("port-offset"), help: "Added to every port of the deployment.")
    var portOffset = 0

    func validate() throws {
        guard (-65535...65535).contains(portOffset) else {
            throw ValidationError("--port-offset: expected -65535...65535, got \(portOffset)")
        }
        _ = try version()
    }

    /// The version, nil where none was given.
    func version() throws -> LMCacheVersion? {
        guard let text = lmcacheVersion else { return nil }
        guard let version = LMCacheVersion(text), version >= LMCacheVersion(0, 3, 0) else {
            throw ValidationError("--lmcache-version: expected a version from 0.3.0 on, got \"\(text)\"")
        }
        return version
    }

    func apply(to request: inout LaunchRequest) throws {
        request.model = model
        request.modelConfiguration = modelConfig.map { ExecutableSearch.absolute($0) }
        request.lmcacheVersion = try version()
        request.portOffset = portOffset
        request.searchPath = ExecutableSearch.variable("PATH") ?? ""
        request.launcher = ExecutableSearch.running ?? "disagg-launch"
    }
}
