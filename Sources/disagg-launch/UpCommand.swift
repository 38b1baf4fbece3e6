import ArgumentParser
import DisaggCore
import UnixSignals

/// `disagg-launch up`: starts a deployment and stays until it is stopped.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start a deployment and keep it running until Ctrl-C.",
        usage: "disagg-launch up <preset|file> [<options>]",
        discussion: """
            Starts the proxy, the decode engines and the prefill engines, each with its own log file, waits until all \
            are ready and a request went through, and prints a request to try. A process that fails is started again, \
            with those that must be restarted with it. Ctrl-C lets requests in progress finish and stops everything; a \
            second Ctrl-C ends everything at once. From another terminal: `status`, `logs`, `down`.

            EXAMPLES:
              disagg-launch up 1p1d                        2 GPUs, or simulated engines
              disagg-launch up xpyd --model Qwen/Qwen3-8B  4 engines of another model
              disagg-launch up 1p1d --speed 0              simulated: answers at once
              disagg-launch up 1p1d --port-offset 1000     beside another deployment
              disagg-launch up my.yaml --dry-run           a script of all that it does

            EXIT STATUS: 0 stopped by Ctrl-C, SIGTERM or `down`; 1 an engine or the proxy failed for good; 2 wrong \
            arguments or file, a taken port, a missing program.
            """)

    @Argument(help: ArgumentHelp("A preset (1p1d, xp1d, xpyd) or a deployment file.", valueName: "preset|file"))
    var source: String

    @Option(
        help: ArgumentHelp(
            "auto, vllm or simulated; auto takes vLLM where nvidia-smi finds a GPU. Default: as the file says.",
            valueName: "auto|vllm|simulated"),
        transform: { text in
            guard let engine = EngineKind(rawValue: text) else {
                throw ValidationError("expected auto, vllm or simulated, got \"\(text)\"")
            }
            return engine
        })
    var engine: EngineKind?

    @Option(help: "Model name or path, in place of the file's.")
    var model: String?

    @Option(name: .customLong("log-dir"), help: "Directory for log files and generated configuration.")
    var logDirectory = "logs"

    @Flag(name: .customLong("dry-run"), help: "Print every command, variable and file as a script; start nothing.")
    var dryRun = false

    @Option(name: .customLong("port-offset"), help: "Added to every port of the deployment.")
    var portOffset = 0

    @Option(help: "Time scale of simulated engines: 1 is like the real ones, 2 twice as fast, 0 answers at once.")
    var speed: Double?

    @Option(help: ArgumentHelp("GPUs that may be used. (default: all)", valueName: "0,2,4-7"))
    var gpus: String?

    @OptionGroup(title: "SUPERVISION OPTIONS")
    var supervision: SupervisionOptions

    @Flag(name: .customLong("no-check"), help: "Start even where `disagg-launch check` finds errors.")
    var noCheck = false

    @Option(name: .customLong("proxy-executable"), help: .hidden)
    var proxyExecutable: String?

    func validate() throws {
        if let speed, !(speed >= 0 && speed.isFinite) { throw ValidationError("--speed must not be negative") }
        guard (-65535...65535).contains(portOffset) else {
            throw ValidationError("--port-offset: expected -65535...65535, got \(portOffset)")
        }
    }

    func run() async throws {
        var request = LaunchRequest(source: source)
        request.engine = engine
        request.model = model
        request.portOffset = portOffset
        request.speed = speed
        request.gpus = gpus
        request.visibleDevices = ExecutableSearch.variable("CUDA_VISIBLE_DEVICES")
        request.directory = ExecutableSearch.absolute(logDirectory)
        request.searchPath = ExecutableSearch.variable("PATH") ?? ""
        request.launcher = ExecutableSearch.running ?? "disagg-launch"
        request.proxy = proxyExecutable
        if dryRun {
            // The note is a comment, so that the output stays a script.
            let plan = try await request.plan(dryRun: true) { Terminal.write("# \($0)\n") }
            Terminal.write(DryRun.script(plan, directory: request.directory))
            return
        }
        let plan = try await request.plan(dryRun: false) { Terminal.write("\($0)\n") }
        if !noCheck {
            try await CheckRequest.gate(plan, places: request.places, path: request.searchPath) {
                Terminal.write("\($0)\n")
            }
        }
        // From here on a signal must stop children, so it is caught before there is any. A terminal that closes sends
        // SIGHUP, Ctrl-backslash SIGQUIT: children in sessions of their own would outlive both.
        let (stopRequests, stop) = AsyncStream.makeStream(of: Void.self)
        let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm, .sighup, .sigquit])
        let listener = Task {
            for await _ in signals { stop.yield() }
        }
        defer { listener.cancel() }
        var settings = supervision.settings
        settings.source = source
        let lock = try await Launcher.prepare(
            plan, directory: request.directory, rotation: settings.rotation, grace: settings.grace
        ) { Terminal.write("\($0)\n") }
        defer { withExtendedLifetime(lock) {} }
        let status = await Launcher(plan, directory: request.directory, settings: settings).run(
            stopRequests: stopRequests, console: LaunchConsole(Terminal.sink))
        if status != 0 { throw ExitCode(status) }
    }
}
