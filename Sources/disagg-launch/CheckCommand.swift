import ArgumentParser
import DisaggCore

/// `disagg-launch check`: finds what would go wrong before anything starts.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a deployment before it starts or while it runs, or LMCache files that you have.",
        usage: """
            disagg-launch check <preset|file> [--online] [<options>]
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

    enum Format: String, CaseIterable { case text, json }

    @Argument(help: ArgumentHelp("A preset or a deployment file.", valueName: "preset|file")) var source: String?
    @Option(help: "An LMCache file; repeat it for each engine.") var lmcacheConfig: [String] = []
    @Option(help: "The command line of the proxy in front.") var proxyArgs: String?
    @Option(help: "The command line of a prefill engine; repeat it for each.") var prefillArgs: [String] = []
    @Option(help: "The command line of a decode engine; repeat it for each.") var decodeArgs: [String] = []
    @OptionGroup var changes: DeploymentChanges
    @Option(
        help: "vLLM version of existing command lines.",
        transform: reading("a version such as 0.24.0") { LMCacheVersion($0) })
    var vllmVersion: LMCacheVersion?
    @Flag(help: "Leave out what depends on this machine: ports, GPUs, programs, limits.") var noMachine = false
    @Flag(help: "Look at what runs, in place of the machine: health, versions, models, hash seeds, logs.")
    var online = false
    @Option(help: "With --online: the folder that `up` was given.") var logDir = "logs"
    @Option(help: ArgumentHelp("text or json. (default: text)", valueName: "text|json"), transform: choice)
    var format = Format.text
    @Flag(help: "Print Docs/Checks.md and stop.") var list = false

    func validate() throws {
        guard list || (source != nil) != !(lmcacheConfig + prefillArgs + decodeArgs).isEmpty else {
            throw ValidationError("name a deployment, or give LMCache files with --lmcache-config, one of both")
        }
    }

    func run() async throws {
        if list { return Terminal.write(CheckCatalog.document) }
        var request = CheckRequest()
        request.deployment = source.map { changes.request($0, in: logDir) }
        request.lmcacheFiles = lmcacheConfig
        request.commands.prefillCommands = prefillArgs
        request.commands.decodeCommands = decodeArgs
        request.commands.proxyCommand = proxyArgs
        request.modelConfiguration = changes.modelConfig
        request.lmcacheVersion = changes.lmcacheVersion
        request.vllmVersion = vllmVersion
        let report = try await request.report(machine: !noMachine && !online, online: online)
        Terminal.write(format == .json ? report.json : report.text)
        throw ExitCode(report.exitStatus)
    }
}
