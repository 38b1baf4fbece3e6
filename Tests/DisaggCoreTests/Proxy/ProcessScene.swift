import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import DisaggCore

/// Simulated engines as processes, and a proxy of this process in front of them.
final class ProcessScene: Sendable {
    private let prefillPorts: [Int]
    private let decodePorts: [Int]
    private let sidePorts: [Int]
    private let processes = NIOLockedValueBox<[Int: Int32]>([:])
    private let respawned = NIOLockedValueBox<Set<Int>>([])
    private let launcher: String
    private let directory = "/tmp/disagg-failures-\(UInt64.random(in: .min ... .max))"

    init(prefill: Int, decode: Int) throws {
        let ports = LaunchScene.freePorts(2 * (prefill + decode))
        prefillPorts = Array(ports[..<prefill])
        decodePorts = Array(ports[prefill..<prefill + decode])
        sidePorts = Array(ports[(prefill + decode)...])
        launcher = try #require(LaunchScene.launcher)
    }

    private func number(_ role: BackendRole, _ index: Int) -> Int {
        role == .prefill ? index : prefillPorts.count + index
    }

    /// The process of an engine.
    func process(_ role: BackendRole, _ index: Int) -> Int32 {
        processes.withLockedValue { $0[number(role, index)] ?? -1 }
    }

    /// Strikes an engine's next requests.
    func inject(_ faults: String, _ role: BackendRole, _ index: Int) async throws {
        let port = role == .prefill ? prefillPorts[index] : decodePorts[index]
        let answer = try await RawHTTPClient(port: port).post("/sim/faults", faults)
        #expect(answer.status == 200, "\(answer)")
    }

    /// Kills an engine some times; it is started again at once, and is healthy when this ends.
    func flap(_ role: BackendRole, _ index: Int, times: Int) async throws {
        let number = number(role, index)
        let port = (prefillPorts + decodePorts)[number]
        respawned.withLockedValue { _ = $0.insert(number) }
        defer { respawned.withLockedValue { _ = $0.remove(number) } }
        for _ in 0..<times {
            let old = process(role, index)
            kill(old, SIGKILL)
            try await eventually {
                guard self.process(role, index) != old else { return false }
                return (try? await RawHTTPClient(port: port).get("/health").status) == 200
            }
        }
    }

    /// Runs an engine, again and again while it is to be respawned.
    private func keep(_ number: Int) async throws {
        let command = EngineCommand(
            name: "engine-\(number)", arguments: [launcher] + arguments(number), environment: [:],
            logFile: "\(directory)/engine-\(number).log")
        repeat {
            _ = try await ChildProcess.run(command, mark: "\(directory)-\(number)") { session in
                self.processes.withLockedValue { $0[number] = session.id }
            }
        } while respawned.withLockedValue { $0.contains(number) }
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
        try RunDirectory.create(directory)
        defer { for process in processes.withLockedValue({ $0.values }) { kill(process, SIGKILL) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<prefillPorts.count + decodePorts.count {
                group.addTask { try await self.keep(number) }
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
            deployment.proxy.requests.showsDecision = true
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
    func expectClean(except dead: (role: BackendRole, index: Int)?, freedTwiceAtMost most: Int = 0) async throws {
        var freedTwice = 0
        for (role, ports) in [(BackendRole.prefill, prefillPorts), (.decode, decodePorts)] {
            for (index, port) in ports.enumerated() where dead?.role != role || dead?.index != index {
                let deadline = ContinuousClock.now + .seconds(20)
                var ledger = try await RawHTTPClient(port: port).get("/sim/kv").json
                while ledger?["held"]?.int != 0, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(50))
                    ledger = try await RawHTTPClient(port: port).get("/sim/kv").json
                }
                freedTwice += ledger?["doubleFreed"]?.int ?? most + 1
                for name in ["held", "leaked", "protocolViolations", "expired"] {
                    #expect(ledger?[name]?.int == 0, "\(role.rawValue)-\(index): \(name) \(ledger?.rawString ?? "-")")
                }
            }
        }
        #expect(freedTwice <= most, "freed twice: \(freedTwice)")
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
