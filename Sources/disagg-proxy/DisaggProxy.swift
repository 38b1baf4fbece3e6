internal import ArgumentParser
internal import DisaggCore
internal import Glibc
internal import Logging
internal import ServiceLifecycle
internal import UnixSignals

@main
struct DisaggProxy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disagg-proxy",
        abstract: "One OpenAI-compatible port in front of a prefill and a decode pool.",
        discussion: """
            Three ways to say where the engines are:
              a deployment file   disagg-proxy --config deployment.yaml
              the short form      disagg-proxy --handoff nixl \\
                                    --prefill http://10.0.0.1:8100 \\
                                    --decode http://10.0.0.2:8200
              LMCache's flags     disagg-proxy --port 9100 \\
                                    --prefiller-host localhost --prefiller-port 7100 \\
                                    --decoder-host localhost --decoder-port 7200 \\
                                    --decoder-init-port 7300 --decoder-alloc-port 7400 \\
                                    --proxy-host localhost --proxy-port 7500

            Flags override the file. Without any of them the engines are expected where `disagg up 1p1d` puts them: \
            prefill on port 8100, decode on 8200 of this machine. It serves until SIGTERM or SIGINT; then requests \
            under way end first. SIGHUP reopens the access log and takes the deployment file over.

            EXIT STATUS: 0 stopped by SIGTERM or SIGINT; 1 it could not start or failed; 2 wrong arguments or file.
            """,
        version: DisaggVersion.current)

    @Option(help: ArgumentHelp("A deployment file.", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The hand-off: \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")). (default: lmcache)",
            valueName: "name"))
    var handoff: String?

    @Option(help: ArgumentHelp("Who samples the first token under lmcache: decode or prefill.", valueName: "role"))
    var firstToken: String?

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Prefill engines, one or more.", valueName: "url"))
    var prefill: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Decode engines, one or more.", valueName: "url"))
    var decode: [String] = []

    @Option(help: ArgumentHelp("Where LMCache prefill engines push notifications.", valueName: "host:port"))
    var notify: String?

    @Option(help: ArgumentHelp("Address to listen on.", valueName: "host"))
    var host: String?

    @Option(
        help: ArgumentHelp("Port to listen on; 0 lets the system choose. (default: 9000, or 8000 with LMCache's flags)")
    )
    var port: Int?

    @Option(help: "Event loops. (default: the number of cores)")
    var threads: Int?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel = "info"

    @OptionGroup(title: "Operating")
    var operating: OperatingOptions
    @OptionGroup(title: "Single hand-offs' flags")
    var handoffFlags: HandoffFlags

    @OptionGroup(title: "LMCache's flags")
    var lmcache: LMCacheOptions

    /// Bad arguments end with status 2, as all bad input does; the parser's own choice would be 64.
    static func main() async {
        do {
            let command = try parse()
            try await command.run()
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch {
            guard exitCode(for: error) == .success else {
                StandardError.print(fullMessage(for: error))
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }

    func run() async throws {
        let deployment: Deployment
        let level: Logger.Level
        do {
            deployment = try resolved()
            // What is wrong with it is told before anything is started, with the status of bad input.
            _ = try AdminToken.configured(deployment.proxy.admin)
            guard config != nil || !operating.watch else {
                throw DisaggError(.badRequest, "--watch needs a deployment file: give one with --config")
            }
            guard let parsed = Logger.Level(rawValue: logLevel) else {
                throw DisaggError(
                    .badRequest,
                    "--log-level: expected trace, debug, info, notice, warning or error, got \"\(logLevel)\"")
            }
            level = parsed
        } catch {
            StandardError.print("disagg-proxy: \(Self.text(of: error))")
            throw ExitCode(2)
        }
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "disagg-proxy")
        logger.logLevel = level
        let openFiles = OpenFileLimit.raise()
        if openFiles < 4096 {
            logger.warning("only \(openFiles) files may be open, and a stream takes two; raise the limit (ulimit -Hn)")
        }
        do {
            let source = config.map { file in
                DeploymentSource(file: file, isWatched: operating.watch) { [self] in try resolved() }
            }
            let server = try DisaggServer(
                deployment: deployment, source: source, logger: logger,
                onAdmin: { StandardError.print("disagg-proxy: admin API and live page on http://\($0)") },
                onStart: { http, notify in
                    let hint = notify.map { ", notifications on port \($0)" } ?? ""
                    StandardError.print(
                        "disagg-proxy \(DisaggVersion.current): listening on http://\(http), hand-off \(deployment.handoff.rawValue)\(hint)"
                    )
                    let engines = (deployment.backends(.prefill) + deployment.backends(.decode)).map {
                        "\($0.id) http://\(Endpoint(host: $0.host, port: $0.port))"
                    }
                    StandardError.print("disagg-proxy: engines \(engines.joined(separator: ", "))")
                })
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: server, successTerminationBehavior: .gracefullyShutdownGroup),
                        .init(service: HangUpService(server: server)),
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
            try await group.run()
        } catch {
            StandardError.print("disagg-proxy: \(Self.text(of: error))")
            throw ExitCode(1)
        }
    }

    private static func text(of error: any Error) -> String { (error as? DisaggError)?.message ?? "\(error)" }

    /// The deployment that file and flags describe together.
    func resolved() throws -> Deployment {
        var deployment = try config.map { try Deployment(contentsOf: $0) } ?? Deployment()
        if let handoff {
            guard let kind = HandoffKind(rawValue: handoff) else {
                throw DisaggError(
                    .badRequest,
                    "--handoff: expected one of \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(handoff)\""
                )
            }
            deployment.handoff = kind
        }
        if let firstToken {
            guard let source = FirstTokenSource(rawValue: firstToken) else {
                throw DisaggError(.badRequest, "--first-token: expected decode or prefill, got \"\(firstToken)\"")
            }
            deployment.firstToken = source
        }
        if let flags = try lmcache.commandLine() {
            guard prefill.isEmpty, decode.isEmpty else {
                throw DisaggError(.badRequest, "use either --prefill and --decode, or LMCache's flags, not both")
            }
            try flags.apply(to: &deployment)
            if config == nil { deployment.proxy.listen.port = 8000 }
        }
        if !prefill.isEmpty {
            deployment.prefill.urls = try prefill.map { try Endpoint(parsing: $0, flag: "--prefill") }
        }
        if !decode.isEmpty { deployment.decode.urls = try decode.map { try Endpoint(parsing: $0, flag: "--decode") } }
        if config == nil, !prefill.isEmpty || !decode.isEmpty {
            guard !decode.isEmpty else {
                throw DisaggError(
                    .badRequest,
                    "--decode is missing: name at least one decode engine, e.g. --decode http://127.0.0.1:8200")
            }
            if prefill.isEmpty {
                guard deployment.handoff == .none else {
                    throw DisaggError(
                        .badRequest, "--prefill is missing: name at least one prefill engine, or use --handoff none")
                }
                deployment.prefill.replicas = 0
            }
        }
        try handoffFlags.apply(to: &deployment)
        if let notify { deployment.proxy.notify = try Endpoint(parsing: notify, flag: "--notify") }
        if let address = lmcache.proxyHost { deployment.proxy.notify.host = address }
        if let port = lmcache.proxyPort { deployment.proxy.notify.port = port }
        if let host { deployment.proxy.listen.host = host }
        if let port {
            guard (0...65535).contains(port) else {
                throw DisaggError(.badRequest, "--port: expected 0...65535, got \(port)")
            }
            deployment.proxy.listen.port = port
        }
        if let threads {
            guard (1...1024).contains(threads) else {
                throw DisaggError(.badRequest, "--threads: expected 1...1024, got \(threads)")
            }
            deployment.proxy.threads = threads
        }
        try operating.apply(to: &deployment.proxy)
        return deployment
    }
}
