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
            """)

    @Option(help: "Half of a generation it serves: prefill, decode or both.", transform: choice)
    var role: SimulatedEngineConfiguration.Role = .both
    @Option(
        help: "Hand-off protocol: \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")).", transform: choice)
    var handoff: HandoffKind = .none
    @Option(
        help: "lmcache: who samples the first token, prefill or decode (skip_last_n_tokens 1 or 0).", transform: choice)
    var firstToken: FirstTokenSource = .decode
    @Option(help: "Model name it serves.")
    var model = "meta-llama/Llama-3.1-8B-Instruct"
    @Option(help: "Address to listen on.")
    var host = "127.0.0.1"
    @Option(help: "HTTP port; 0 lets the system choose.")
    var port = 8000
    @Option(help: "Tokens a prompt and its answer may have together.")
    var maxModelLen = 32_768
    @Option(help: "Tensor-parallel times pipeline-parallel size.")
    var ranks = 1
    @Option(help: "Data-parallel ranks behind the HTTP port.")
    var dataParallel = 1
    @Option(help: "engine_id of the KV connector; drawn at the start where not given, which nixl-push cannot use.")
    var engineID: String?
    @Flag(help: "lmcache: pd_backend_mode sync: a prefill is answered when its KV is stored.")
    var synchronous = false
    @Flag(help: "lmcache: pd_bidirectional. nixl: bidirectional_kv_xfer, decoders keep a turn's KV for the next.")
    var bidirectional = false
    @Flag(help: "lmcache: only rank 0 stores KV (MLA models).")
    var firstRankOnly = false
    @Option(parsing: .upToNextOption, help: "lmcache decode: pd_peer_init_port, one a rank.")
    var initPort: [Int] = []
    @Option(parsing: .upToNextOption, help: "lmcache decode: pd_peer_alloc_port, one a rank.")
    var allocPort: [Int] = []
    @Option(help: "lmcache decode: 256-token chunks the PD buffer holds, for each rank.")
    var bufferChunks = 128
    @Option(help: "lmcache prefill: host of the proxy's notification socket (pd_proxy_host).")
    var notifyHost = "localhost"
    @Option(help: "lmcache prefill: port of the proxy's notification socket (pd_proxy_port).")
    var notifyPort = 7500
    @Option(help: "Address other engines reach this one's KV connector at.")
    var sideChannelHost = "127.0.0.1"
    @Option(
        help: """
            Port of the KV connector, of the first data-parallel rank: NIXL's or the offloading connector's side channel, \
            kv_port, MoRIIO's handshake and notify port; 0 lets the system choose.
            """)
    var sideChannelPort = 0
    @Option(help: "mooncake and sglang prefill: port of the bootstrap server; 0 lets the system choose.")
    var bootstrapPort = 0
    @Option(help: "nixl: seconds a finished prefill's blocks wait for their reader.")
    var leaseSeconds = 30
    @Option(help: "Scale of the KV connectors' time limits: 0.01 lets them run out a hundred times as fast.")
    var timerScale = 1.0
    @Flag(help: "moriio: read_mode: decoders read, in place of prefill engines that write.")
    var readMode = false
    @Option(help: "moriio and p2p-nccl: host:port of the proxy's registration socket.")
    var ping: String?
    @Option(help: "lmcache-mp prefill: host:port of the proxy's telemetry endpoint.")
    var telemetry: String?
    @Option(help: "Time scale: 1 is the calibrated speed, 2 twice as fast, 0 answers at once.")
    var speed = 1.0
    @Option(help: "Step times: h200-llama-3.1-8b or h200-llama-3.1-8b-eager.")
    var timing = TimingTable.h200Llama8B.name
    @Option(help: "Milliseconds of every step, prefills included, in place of --timing and --speed: a steady pace.")
    var stepMs: Double?
    @Option(help: "How often a step ends the text, 0...1.")
    var endProbability = 0.02
    @Flag(help: "Write each token's number in place of its text; bench --check-order follows them.")
    var numberTokens = false

    func validate() throws {
        guard TimingTable.all.contains(where: { $0.name == timing }) else {
            let names = TimingTable.all.map(\.name).joined(separator: ", ")
            throw ValidationError("--timing: there is no table '\(timing)'; use one of \(names)")
        }
        guard speed >= 0, speed.isFinite else { throw ValidationError("--speed: expected 0 or more, got \(speed)") }
        if let stepMs, !(stepMs > 0 && stepMs <= 60_000) {
            throw ValidationError("--step-ms: expected above 0, at most 60000, got \(stepMs)")
        }
        guard (1...1024).contains(ranks) else { throw ValidationError("--ranks: expected 1...1024, got \(ranks)") }
        let ports = [
            ("--port", [port]), ("--notify-port", [notifyPort]), ("--side-channel-port", [sideChannelPort]),
            ("--bootstrap-port", [bootstrapPort]), ("--init-port", initPort), ("--alloc-port", allocPort),
        ]
        for (flag, values) in ports {
            for value in values where !(0...65535).contains(value) {
                throw ValidationError("\(flag): expected 0...65535, got \(value)")
            }
        }
        guard (0...1).contains(endProbability) else {
            throw ValidationError("--end-probability: expected 0...1, got \(endProbability)")
        }
        guard maxModelLen >= 1 else { throw ValidationError("--max-model-len: expected 1 or more, got \(maxModelLen)") }
        guard bufferChunks >= 1 else {
            throw ValidationError("--buffer-chunks: expected 1 or more, got \(bufferChunks)")
        }
        guard (1...1024).contains(dataParallel) else {
            throw ValidationError("--data-parallel: expected 1...1024, got \(dataParallel)")
        }
        guard timerScale > 0, timerScale.isFinite else {
            throw ValidationError("--timer-scale: expected above 0, got \(timerScale)")
        }
        for (flag, text) in [("--ping", ping), ("--telemetry", telemetry)] {
            guard let text, ConfigText.endpoint(text) == nil else { continue }
            throw ValidationError("\(flag): expected host:port, got \"\(text)\"")
        }
        guard (0...86_400).contains(leaseSeconds) else {
            throw ValidationError("--lease-seconds: expected 0...86400, got \(leaseSeconds)")
        }
    }

    /// What the options describe.
    func engineConfiguration() -> SimulatedEngineConfiguration {
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
        configuration.pingEndpoint = ping.flatMap(ConfigText.endpoint)
        configuration.telemetry = telemetry.flatMap(ConfigText.endpoint)
        configuration.speed = speed
        configuration.timing = TimingTable.all.first { $0.name == timing } ?? .h200Llama8B
        if let stepMs {
            configuration.speed = 1
            configuration.timing = .constant(milliseconds: stepMs)
        }
        configuration.endProbability = endProbability
        configuration.numbersTokens = numberTokens
        return configuration
    }

    func run() async throws {
        let engine = SimulatedEngine(configuration: engineConfiguration())
        let port: Int
        do {
            port = try await engine.start()
        } catch {
            let address = Endpoint(host: host, port: self.port)
            throw ValidationError("cannot listen on \(address) or a hand-off port: \(error); is the port taken?")
        }
        print("simulated \(role.rawValue) engine on http://\(Endpoint(host: host, port: port)) (\(handoff.rawValue))")
        let group = ServiceGroup(
            services: [engine], gracefulShutdownSignals: [.sigint, .sigterm], logger: Logger(label: "disagg.simulate"))
        try await group.run()
    }
}

/// Reads an enumeration's raw value; the complaint lists the values there are.
private func choice<Value: RawRepresentable & CaseIterable>(_ text: String) throws -> Value
where Value.RawValue == String {
    guard let value = Value(rawValue: text) else {
        let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("there is no '\(text)'; use one of \(names)")
    }
    return value
}
