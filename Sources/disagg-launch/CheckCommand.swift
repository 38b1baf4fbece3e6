import ArgumentParser
import DisaggCore

/// `disagg-launch check`: finds what would go wrong before anything starts.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a deployment before it starts or while it runs, or LMCache files that you have.",
        usage: """
            disagg-launch check <preset|file> [<options>]
            disagg-launch check --lmcache-config <file> ... [--proxy-args <text>] [<options>]
            """,
        discussion: """
            Every check has a name, a reason and a remedy; Docs/Checks.md lists them. The command lines in --prefill-args, \
            --decode-args and --proxy-args may have assignments in front: "PYTHONHASHSEED=0 vllm serve MODEL ...".

            EXAMPLES:
              disagg-launch check my.yaml
              disagg-launch check my.yaml --online --log-dir logs     what runs: answers, versions, seeds, logs
              disagg-launch check --lmcache-config P.yaml --lmcache-config D.yaml \\
                --proxy-args "disagg_proxy_server.py --decoder-init-port 7300 --proxy-port 7500"

            EXIT STATUS: 0 no error found (there may be warnings); 1 errors; 2 wrong arguments or an unreadable file.
            """)

    @Argument(help: ArgumentHelp("A preset or a deployment file.", valueName: "preset|file"))
    var source: String?

    @Option(name: .customLong("lmcache-config"), help: "An LMCache file; repeat it for each engine.")
    var lmcacheConfig: [String] = []

    @Option(name: .customLong("proxy-args"), help: "The command line of the proxy in front.")
    var proxyArguments: String?

    @Option(name: .customLong("prefill-args"), help: "The command line of a prefill engine; repeat it for each.")
    var prefillArguments: [String] = []

    @Option(name: .customLong("decode-args"), help: "The command line of a decode engine; repeat it for each.")
    var decodeArguments: [String] = []

    @OptionGroup var changes: DeploymentChanges

    @Option(name: .customLong("vllm-version"), help: "vLLM version of existing command lines.")
    var vllmVersion: String?

    @Flag(
        name: .customLong("no-machine"), help: "Leave out what depends on this machine: ports, GPUs, programs, limits.")
    var noMachine = false

    @Flag(help: "Look at what runs, in place of the machine: health, versions, models, hash seeds, logs.")
    var online = false

    @Option(name: .customLong("log-dir"), help: "With --online: the folder that `up` was given.")
    var logDirectory = "logs"

    @Option(help: ArgumentHelp("text or json.", valueName: "text|json"))
    var format = "text"

    @Flag(help: "Print Docs/Checks.md and stop.")
    var list = false

    func validate() throws {
        guard ["text", "json"].contains(format) else {
            throw ValidationError("--format: expected text or json, got \"\(format)\"")
        }
        let hasFiles = !lmcacheConfig.isEmpty || !prefillArguments.isEmpty || !decodeArguments.isEmpty
        guard list || (source != nil) != hasFiles else {
            throw ValidationError("name a deployment, or give LMCache files with --lmcache-config, one of both")
        }
        if let vllmVersion, LMCacheVersion(vllmVersion) == nil {
            throw ValidationError("--vllm-version: expected a version such as 0.24.0, got \"\(vllmVersion)\"")
        }
    }

    func run() async throws {
        if list { return Terminal.write(CheckCatalog.document) }
        var request = CheckRequest()
        request.lmcacheFiles = lmcacheConfig
        request.commands.prefillCommands = prefillArguments
        request.commands.decodeCommands = decodeArguments
        request.commands.proxyCommand = proxyArguments
        request.modelConfiguration = changes.modelConfig
        request.lmcacheVersion = try changes.version()
        request.vllmVersion = vllmVersion.flatMap { LMCacheVersion($0) }
        let report: CheckReport
        if let source {
            var launch = LaunchRequest(source: source)
            try changes.apply(to: &launch)
            launch.directory = ExecutableSearch.absolute(logDirectory)
            request.deployment = launch
            report = try await request.deploymentReport(machine: !noMachine && !online, online: online)
        } else {
            report = try request.existing()
        }
        Terminal.write(format == "json" ? report.json : report.text)
        if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
    }
}
