import ArgumentParser
import DisaggCore
import UnixSignals

/// `disagg-launch up`: starts a deployment and stays until it is stopped.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Start a deployment and keep it running until Ctrl-C.",
        usage: "disagg-launch up <preset|file> [<options>]",
        discussion: """
            Starts the proxy, the decode engines and the prefill engines, each with its own log file, waits until all \
            are ready and a request went through, and prints a request to try. A process that fails is started again, \
            with those that must be restarted with it. Ctrl-C lets requests in progress finish and stops everything; a \
            second Ctrl-C ends everything at once. From another terminal: `status`, `logs`, `down`, and `check --online`.

            EXAMPLES:
              disagg-launch up 1p1d                        2 GPUs, or simulated engines
              disagg-launch up xpyd --model Qwen/Qwen3-8B  4 engines of another model
              disagg-launch up 1p1d --speed 0              simulated: answers at once
              disagg-launch up 1p1d --port-offset 1000 --log-dir logs-2   beside another deployment
              disagg-launch up my.yaml --dry-run           a script of all that it does

            EXIT STATUS: 0 stopped by Ctrl-C, SIGTERM or `down`; 1 an engine or the proxy failed for good; 2 wrong \
            arguments or file, a taken port, a missing program.
            """)

    @Argument(help: ArgumentHelp("A preset (\(Preset.names)) or a deployment file.", valueName: "preset|file"))
    var source: String
    @Option(
        help: ArgumentHelp(
            "auto takes real engines where nvidia-smi finds a GPU. Default: as the file says.",
            valueName: "auto|vllm|sglang|simulated"), transform: choice)
    var engine: EngineKind?
    @OptionGroup var changes: DeploymentChanges
    @Option(help: "Directory for log files and generated configuration.") var logDir = "logs"
    @Flag(help: "Print every command, variable and file as a script; start nothing.") var dryRun = false
    @Option(
        help: "Time scale of simulated engines: 1 is like the real ones, 2 twice as fast, 0 answers at once.",
        transform: number(0...1e6))
    var speed: Double?
    @Option(help: ArgumentHelp("GPUs that may be used. (default: all)", valueName: "0,2,4-7")) var gpus: String?
    @OptionGroup(title: "SUPERVISION OPTIONS") var supervision: SupervisionOptions
    @Flag(help: "Start even where `disagg-launch check` finds errors.") var noCheck = false
    @Option(help: .hidden) var proxyExecutable: String?

    func run() async throws {
        var request = changes.request(source, in: logDir)
        request.engine = engine
        request.speed = speed
        request.gpus = gpus
        request.proxy = proxyExecutable
        if dryRun { return Terminal.write(try await request.script()) }
        let status = try await request.up(
            supervision.settings(of: source), checks: !noCheck, sink: Terminal.sink, stopRequests: Self.signals)
        throw ExitCode(status)
    }

    /// From here on a signal must stop children, so it is caught before there is any. A terminal that closes sends
    /// SIGHUP, Ctrl-backslash SIGQUIT: children in sessions of their own would outlive both.
    private static func signals() async -> AsyncStream<Void> {
        let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm, .sighup, .sigquit])
        let (requests, stop) = AsyncStream.makeStream(of: Void.self)
        let listener = Task {
            for await _ in signals { stop.yield() }
        }
        stop.onTermination = { _ in listener.cancel() }
        return requests
    }
}
