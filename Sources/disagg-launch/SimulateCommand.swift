import ArgumentParser
import DisaggCore
import Logging
import ServiceLifecycle
import UnixSignals

/// `disagg-launch simulate`: one simulated engine in the foreground.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run one simulated engine: a vLLM look-alike that needs no GPU.",
        discussion: """
            It answers the OpenAI API with deterministic text, plays its side of a hand-off over loopback sockets and keeps \
            a ledger of KV blocks (GET /sim/kv). It stops at SIGINT or SIGTERM.

            EXAMPLES:
              disagg-launch simulate --port 8000
              disagg-launch simulate --role decode --handoff nixl --port 8200 --gpu H100

            EXIT STATUS: 0 stopped; 2 wrong arguments, or a port is taken.
            """)

    @Option(help: "Half of a generation it serves: prefill, decode or both. (default: both)", transform: choice)
    var role = SimulatedEngineConfiguration.Role.both
    @Option(
        help: "Hand-off: \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")). (default: none)",
        transform: choice)
    var handoff = HandoffKind.none
    @Option(help: "lmcache: who samples the first token, prefill or decode. (default: decode)", transform: choice)
    var firstToken = FirstTokenSource.decode
    @Option(help: "Model name it serves.") var model = "meta-llama/Llama-3.1-8B-Instruct"
    @Option(help: "Address to listen on.") var host = "127.0.0.1"
    @Option(help: "HTTP port; 0 lets the system choose. (default: 8000)", transform: portNumber) var port = 8000
    @Option(help: "Tokens a prompt and its answer may have together. (default: 32768)", transform: amount)
    var maxModelLen = 32_768
    @Option(help: "Tensor-parallel times pipeline-parallel size. (default: 1)", transform: number(1...1024))
    var ranks = 1
    @Option(help: "Data-parallel ranks behind the HTTP port. (default: 1)", transform: number(1...1024))
    var dataParallel = 1
    @Option(help: "engine_id of the KV connector; drawn where not given, which nixl-push cannot use.")
    var engineID: String?
    @Flag(help: "lmcache: pd_backend_mode sync: a prefill is answered when its KV is stored.") var synchronous = false
    @Flag(help: "lmcache: pd_bidirectional. nixl: bidirectional_kv_xfer, decoders keep a turn's KV for the next.")
    var bidirectional = false
    @Flag(help: "lmcache: only rank 0 stores KV (MLA models).") var firstRankOnly = false
    @Option(parsing: .upToNextOption, help: "lmcache decode: pd_peer_init_port, one a rank.", transform: portNumber)
    var initPort: [Int] = []
    @Option(parsing: .upToNextOption, help: "lmcache decode: pd_peer_alloc_port, one a rank.", transform: portNumber)
    var allocPort: [Int] = []
    @Option(help: "lmcache decode: 256-token chunks of a rank's PD buffer. (default: 128)", transform: amount)
    var bufferChunks = 128
    @Option(help: "lmcache prefill: host of the proxy's notification socket.") var notifyHost = "localhost"
    @Option(help: "lmcache prefill: port of the proxy's notification socket. (default: 7500)", transform: portNumber)
    var notifyPort = 7500
    @Option(help: "Address other engines reach this one's KV connector at.") var sideChannelHost = "127.0.0.1"
    @Option(
        help:
            "Port of the KV connector, of the first data-parallel rank: side channel, kv_port, handshake, notify. (default: 0)",
        transform: portNumber)
    var sideChannelPort = 0
    @Option(help: "mooncake and sglang prefill: port of the bootstrap server. (default: 0)", transform: portNumber)
    var bootstrapPort = 0
    @Option(
        help: "nixl: seconds a finished prefill's blocks wait for their reader. (default: 30)",
        transform: number(0...86_400))
    var leaseSeconds = 30
    @Option(
        help: "Scale of the connectors' time limits: 0.01 is a hundred times as fast. (default: 1.0)",
        transform: number(1e-6...1e6))
    var timerScale = 1.0
    @Flag(help: "moriio: read_mode: decoders read, in place of prefill engines that write.") var readMode = false
    @Option(help: "moriio and p2p-nccl: the proxy's registration socket, host:port.", transform: address)
    var ping: Endpoint?
    @Option(help: "lmcache-mp prefill and both: the proxy's telemetry endpoint, host:port.", transform: address)
    var telemetry: Endpoint?
    @Option(
        help: "Time scale: 1 is calibrated, 2 twice as fast, 0 answers at once. (default: 1.0)",
        transform: number(0...1e6))
    var speed = 1.0
    @Option(help: "The GPU it plays; the cost model of plan and predict gives its times.") var gpu = "H200"
    @Flag(help: "It plays an engine without CUDA graphs, as with --enforce-eager.") var eager = false
    @Option(help: "Milliseconds of every step, in place of --gpu and --speed.", transform: number(1e-6...60_000))
    var stepMs: Double?
    @Option(help: "How often a step ends the text, 0...1. (default: 0.02)", transform: number(0...1))
    var endProbability = 0.02
    @Flag(help: "Write each token's number in place of its text, for bench --check-order.") var numberTokens = false

    /// What the options describe.
    func engineConfiguration() throws -> SimulatedEngineConfiguration {
        var configuration = SimulatedEngineConfiguration(role: role, handoff: handoff)
        configuration.firstToken = firstToken
        configuration.model = model
        configuration.host = host
        configuration.port = port
        configuration.maximumModelLength = maxModelLen
        configuration.ranks = ranks
        configuration.storesOnFirstRankOnly = firstRankOnly
        configuration.initPorts = initPort
        configuration.allocPorts = allocPort
        configuration.bufferChunks = bufferChunks
        configuration.notifyEndpoint = Endpoint(host: notifyHost, port: notifyPort)
        configuration.sideChannelHost = sideChannelHost
        configuration.sideChannelPort = sideChannelPort
        configuration.bootstrapPort = bootstrapPort
        configuration.dataParallel = dataParallel
        configuration.engineID = engineID
        configuration.isSynchronous = synchronous
        configuration.isBidirectional = bidirectional
        configuration.timers.nixlLease = .seconds(leaseSeconds)
        configuration.timers = configuration.timers.scaled(by: timerScale)
        configuration.moriioReads = readMode
        configuration.pingEndpoint = ping
        configuration.telemetry = telemetry
        configuration.endProbability = endProbability
        configuration.numbersTokens = numberTokens
        try configuration.setPace(gpu: gpu, isEager: eager, speed: speed, stepMilliseconds: stepMs)
        return configuration
    }

    func run() async throws {
        OpenFileLimit.raise()
        let engine = SimulatedEngine(configuration: try engineConfiguration())
        let port: Int
        do {
            port = try await engine.start()
        } catch {
            let address = Endpoint(host: host, port: self.port)
            throw CommandError(
                "cannot listen on \(address) or a hand-off port: \(error); is the port taken?")
        }
        Terminal.write(
            "simulated \(role.rawValue) engine on http://\(Endpoint(host: host, port: port)) (\(handoff.rawValue))\n"
        )
        let group = ServiceGroup(
            services: [engine], gracefulShutdownSignals: [.sigint, .sigterm],
            logger: Logger(label: "disagg.simulate"))
        try await group.run()
    }
}

private let portNumber = number(0...65535)
private let amount = number(1...(1 << 40))
private let address = reading("host:port", ConfigText.endpoint)
