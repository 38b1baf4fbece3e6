import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import DisaggCore

/// Engines in processes of their own that are killed, stopped, or answer nonsense, under many streams.
@Suite("Failing backends under load", .timeLimit(.minutes(3)))
struct BackendFailureTests {
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case killed = "SIGKILL"
        case stopped = "SIGSTOP"

        var signal: CInt { self == .killed ? SIGKILL : SIGSTOP }
        var testDescription: String { rawValue }
    }

    @Test(
        "of 200 streams only those end early whose decode had begun at the engine that failed",
        // Five processes and some seconds: DISAGG_FAULTS=1 runs it.
        .enabled(if: getenv("DISAGG_FAULTS") != nil), arguments: Fault.allCases,
        [BackendRole.decode, .prefill])
    func underLoad(fault: Fault, role: BackendRole) async throws {
        let scene = try ProcessScene(prefill: 2, decode: 2)
        try await scene.run { proxy, log in
            let began = NIOLockedValueBox(0)
            let started = ContinuousClock.now
            try await withThrowingTaskGroup(of: RawResponse.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let connection = try await RawConnection(port: proxy.port)
                        try await connection.send(
                            RawHTTPClient.request(
                                "POST", "/v1/completions",
                                body: ProxyHarness.completion("stream \(index)", #""max_tokens":16,"stream":true"#)))
                        let isNew = NIOLockedValueBox(true)
                        let answer = await connection.read { _ in
                            if isNew.withLockedValue({ isNew in
                                defer { isNew = false }
                                return isNew
                            }) {
                                began.withLockedValue { $0 += 1 }
                            }
                            return false
                        }
                        await connection.close()
                        return answer
                    }
                }
                // Some streams are under way, some are not.
                try await eventually { began.withLockedValue { $0 } > 40 }
                let victim = scene.process(role, 0)
                kill(victim, fault.signal)
                let failed = ContinuousClock.now
                try await log.wait(for: "left out", of: role.backendID(replica: 0))
                let ejected = ContinuousClock.now - failed
                var broken = 0
                var other: [String] = []
                if fault == .stopped {
                    // Its streams are not given up: they go on when it does.
                    try await log.wait(for: "left out", of: role.backendID(replica: 0))
                    kill(victim, SIGCONT)
                }
                for try await answer in group {
                    if answer.status == 200, answer.isComplete, answer.body.hasSuffix("data: [DONE]\n\n") {
                        if answer.isBrokenStream { broken += 1 }
                    } else {
                        other.append("\(answer.statusLine) \(answer.body.prefix(200))")
                    }
                }
                #expect(other.count == 0, "\(other.prefix(3))")
                if role == .prefill || fault == .stopped { #expect(broken == 0) }
                print(
                    "\(fault.rawValue) of \(role.rawValue)-0: out after \(ejected), \(broken) of 200 streams ended early, "
                        + "the last after \(ContinuousClock.now - started)")
            }
            try await scene.expectClean(except: fault == .killed ? (role, 0) : nil)
        }
    }

    @Test("a burst of 500s opens the breaker of that engine alone, and costs no client an answer")
    func burst() async throws {
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            try await harness.prefill[0].inject(
                .with {
                    $0.refuse = 1000
                    $0.refuseStatus = 500
                })
            for index in 0..<30 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("king \(index)"))
            }
            let picks = try await harness.metric(#"disagg_backend_picks_total{backend="prefill-0""#)
            // Five faults open it; one trial at a time is let through later.
            #expect((Int(picks ?? "") ?? 99) <= 12, "\(picks ?? "-")")
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-0""#) == "0")
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-1""#) == "0")
            try await harness.expectClean()
        }
    }

    @Test("an engine that comes and goes costs no client an answer")
    func flapping() async throws {
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 1)) { harness in
            for round in 0..<4 {
                try await harness.prefill[0].inject(
                    .with {
                        $0.refuse = round % 2 == 0 ? 3 : 0
                        $0.refuseStatus = round % 4 == 0 ? 503 : 500
                        $0.closeIdle = true
                    })
                for index in 0..<6 {
                    try await harness.expectRight("/v1/completions", ProxyHarness.completion("\(round) \(index)"))
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}

/// Simulated engines as processes, and a proxy of this process in front of them.
final class ProcessScene: Sendable {
    private let prefillPorts: [Int]
    private let decodePorts: [Int]
    private let sidePorts: [Int]
    private let processes = NIOLockedValueBox<[Int: Int32]>([:])

    init(prefill: Int, decode: Int) throws {
        let ports = LaunchScene.freePorts(2 * (prefill + decode))
        prefillPorts = Array(ports[..<prefill])
        decodePorts = Array(ports[prefill..<prefill + decode])
        sidePorts = Array(ports[(prefill + decode)...])
    }

    /// The process of an engine.
    func process(_ role: BackendRole, _ index: Int) -> Int32 {
        let number = role == .prefill ? index : prefillPorts.count + index
        return processes.withLockedValue { $0[number] ?? -1 }
    }

    private func arguments(_ number: Int) -> [String] {
        let isPrefill = number < prefillPorts.count
        let port = isPrefill ? prefillPorts[number] : decodePorts[number - prefillPorts.count]
        return [
            "simulate", "--role", isPrefill ? "prefill" : "decode", "--handoff", "nixl", "--port", "\(port)",
            "--side-channel-port", "\(sidePorts[number])", "--step-ms", "60", "--end-probability", "0",
        ]
    }

    /// Starts everything, runs the body, and stops everything.
    func run(_ body: (RawHTTPClient, CapturedLog) async throws -> Void) async throws {
        let launcher = try #require(LaunchScene.launcher)
        let directory = "/tmp/disagg-failures-\(UInt64.random(in: .min ... .max))"
        try RunDirectory.create(directory)
        defer { for process in processes.withLockedValue({ $0.values }) { kill(process, SIGKILL) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<prefillPorts.count + decodePorts.count {
                group.addTask {
                    let command = EngineCommand(
                        name: "engine-\(number)", arguments: [launcher] + self.arguments(number), environment: [:],
                        logFile: "\(directory)/engine-\(number).log")
                    _ = try await ChildProcess.run(command, mark: "\(directory)-\(number)") { session in
                        self.processes.withLockedValue { $0[number] = session.id }
                    }
                }
            }
            let log = CapturedLog()
            for port in prefillPorts + decodePorts {
                try await eventually { (try? await RawHTTPClient(port: port).get("/health").status) == 200 }
            }
            var deployment = Deployment()
            deployment.handoff = .nixl
            deployment.prefill.urls = prefillPorts.map { Endpoint(host: "127.0.0.1", port: $0) }
            deployment.decode.urls = decodePorts.map { Endpoint(host: "127.0.0.1", port: $0) }
            deployment.proxy.listen = Endpoint(host: "127.0.0.1", port: 0)
            deployment.proxy.threads = 2
            for role in BackendRole.allCases {
                deployment.routing[role].healthInterval = .milliseconds(500)
                deployment.routing[role].healthTimeout = .seconds(1)
            }
            let (started, continuation) = AsyncStream<Int>.makeStream()
            let logger = Logger(label: "failures") { _ in log.handler }
            let server = try DisaggServer(deployment: deployment, logger: logger) { address, _ in
                continuation.yield(address.port)
            }
            let serving = Task { try await server.run() }
            var port = 0
            for await value in started {
                port = value
                break
            }
            do {
                try await body(RawHTTPClient(port: port), log)
            } catch {
                serving.cancel()
                for process in processes.withLockedValue({ $0.values }) { kill(process, SIGKILL) }
                throw error
            }
            serving.cancel()
            _ = try? await serving.value
            for process in processes.withLockedValue({ $0.values }) { kill(process, SIGKILL) }
            try? await group.waitForAll()
        }
    }

    /// Expects that no engine but one holds KV, or ever lost any.
    func expectClean(except dead: (role: BackendRole, index: Int)?) async throws {
        for (role, ports) in [(BackendRole.prefill, prefillPorts), (.decode, decodePorts)] {
            for (index, port) in ports.enumerated() where dead?.role != role || dead?.index != index {
                let deadline = ContinuousClock.now + .seconds(20)
                var ledger = try await RawHTTPClient(port: port).get("/sim/kv").json
                while ledger?["held"]?.int != 0, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(50))
                    ledger = try await RawHTTPClient(port: port).get("/sim/kv").json
                }
                for name in ["held", "leaked", "doubleFreed", "protocolViolations", "expired"] {
                    #expect(ledger?[name]?.int == 0, "\(role.rawValue)-\(index): \(name) \(ledger?.rawString ?? "-")")
                }
            }
        }
    }
}

/// What a proxy logged.
final class CapturedLog: Sendable {
    private let lines = NIOLockedValueBox<[String]>([])

    var handler: any LogHandler { Handler(log: self) }

    /// Waits for a line about a backend.
    func wait(for text: String, of backend: String) async throws {
        try await eventually {
            self.lines.withLockedValue { $0.contains { $0.contains(text) && $0.contains(backend) } }
        }
    }

    private struct Handler: LogHandler {
        let log: CapturedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let id = event.metadata?["disagg.backend"].map { "\($0)" } ?? ""
            log.lines.withLockedValue { $0.append("\(event.message) \(id)") }
        }
    }
}
