import NIOPosix
import Testing

@testable import DisaggCore

/// Engines that come and go by their pings, behind a proxy that knows none beforehand.
@Suite("Engines that register themselves", .timeLimit(.minutes(1)))
struct RegisteredEngineTests {
    private static let topologies: [Topology] = [
        .init(handoff: .moriio, prefill: 0, decode: 0),
        .init(handoff: .moriio, prefill: 0, decode: 0, moriioMode: .read),
        .init(handoff: .p2pNCCL, prefill: 0, decode: 0),
    ]

    private static func settings(_ deployment: inout Deployment) {
        deployment.prefill.replicas = 0
        deployment.decode.replicas = 0
        deployment.discovery.pings = true
        deployment.discovery.pingTimeout = .milliseconds(400)
        deployment.proxy.requests.showsDecision = true
    }

    private static func start(
        _ role: SimulatedEngineConfiguration.Role, _ harness: ProxyHarness, reads: Bool? = nil
    ) async throws -> SimulatedEngine {
        var configuration = SimulatedEngineConfiguration(role: role, handoff: harness.topology.handoff)
        configuration.pingEndpoint = Endpoint(host: "localhost", port: harness.notifyPort ?? 0)
        configuration.timers.ping = .milliseconds(20)
        configuration.moriioReads = reads ?? (harness.topology.moriioMode == .read)
        configuration.endProbability = 0.08
        configuration.maximumModelLength = 300
        let engine = SimulatedEngine(configuration: configuration)
        _ = try await engine.start()
        return engine
    }

    private static func members(_ harness: ProxyHarness, _ role: String) async throws -> Int {
        try await harness.proxy.get("/metrics").body.split(separator: "\n").count {
            $0.hasPrefix("disagg_backend_up{") && $0.contains("role=\"\(role)\"")
        }
    }

    @Test("an engine that pings gets requests, and one that stops pinging is gone", arguments: topologies)
    func lifeOfAnEngine(topology: Topology) async throws {
        try await withProxy(topology, .init(settings: Self.settings)) { harness in
            #expect(try await harness.proxy.post("/v1/completions", ProxyHarness.completion("nobody")).status == 503)
            let decode = try await Self.start(.decode, harness)
            let first = try await Self.start(.prefill, harness)
            try await eventually {
                let (prefills, decodes) = try await (
                    Self.members(harness, "prefill"), Self.members(harness, "decode")
                )
                return prefills == 1 && decodes == 1
            }
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("one"))
            #expect(try await first.receivedRequests().total == 1)
            let second = try await Self.start(.prefill, harness)
            try await eventually { try await Self.members(harness, "prefill") == 2 }
            await first.shutdown()
            try await eventually { try await Self.members(harness, "prefill") == 1 }
            for index in 0..<3 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("two \(index)"))
            }
            #expect(try await second.receivedRequests().total == 3)
            try await harness.settles()
            #expect(try await harness.servedByReason() == ["disaggregated": 4, "no-decode-backend": 1])
            for engine in [decode, second] { #expect(try await engine.ledger().isClean) }
            for engine in [decode, second] { await engine.shutdown() }
        }
    }

    @Test("an engine that registers with the other transfer mode is not used, and the reason says so")
    func otherMode() async throws {
        try await withProxy(
            .init(handoff: .moriio, prefill: 0, decode: 0), .init(settings: Self.settings)
        ) { harness in
            let decode = try await Self.start(.decode, harness)
            let reader = try await Self.start(.prefill, harness, reads: true)
            try await eventually {
                let (prefills, decodes) = try await (
                    Self.members(harness, "prefill"), Self.members(harness, "decode")
                )
                return prefills == 1 && decodes == 1
            }
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("three"))
            let decision = answer.headers.first { $0.name == "x-disagg-decision" }?.value
            #expect(answer.status == 200 && decision?.contains("reason=transfer-mode") == true, "\(decision ?? "")")
            #expect(try await reader.receivedRequests().total == 0)
            let writer = try await Self.start(.prefill, harness)
            try await eventually { try await Self.members(harness, "prefill") == 2 }
            for index in 0..<2 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("four \(index)"))
            }
            #expect(try await writer.receivedRequests().total == 2)
            #expect(try await reader.receivedRequests().total == 0)
            for engine in [decode, reader, writer] { await engine.shutdown() }
        }
    }
}
