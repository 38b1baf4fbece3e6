import HTTPTypes
import NIOCore
import Testing

@testable import DisaggCore

/// An embedding server: engines, a router, and a server of the test's own.
private func withRouter(
    _ topology: Topology, _ body: (RawHTTPClient, DisaggRouter, ProxyHarness) async throws -> Void
) async throws {
    try await withProxy(topology) { harness in
        var deployment = harness.deployment
        deployment.proxy.notify.port = 0
        let router = try DisaggRouter(deployment: deployment)
        let running = Task { try await router.run() }
        let server = try await PlainServer(router: router)
        do {
            try await body(RawHTTPClient(port: server.port), router, harness)
        } catch {
            running.cancel()
            throw error
        }
        try await server.close()
        running.cancel()
        _ = try? await running.value
    }
}

@Suite("Embedded router")
struct RouterTests {
    @Test(
        "answers in somebody else's server as the engine alone does",
        arguments: [
            Topology(handoff: .nixl), Topology(handoff: .plain, prefill: 2, decode: 2), Topology(handoff: .none),
        ])
    func answersEqual(topology: Topology) async throws {
        try await withRouter(topology) { client, _, harness in
            var generator = SeededGenerator(seed: 7)
            for _ in 0..<25 {
                let request = GeneratedRequest(using: &generator)
                let expected = NormalizedAnswer(try await harness.direct.post(request.path, request.body))
                let actual = NormalizedAnswer(try await client.post(request.path, request.body))
                #expect(actual == expected, "\(request)")
            }
            #expect(try await harness.settledLedgers().allSatisfy(\.isClean))
        }
    }

    @Test("gives the other routes and errors too")
    func otherRoutes() async throws {
        try await withRouter(Topology(handoff: .nixl)) { client, _, _ in
            #expect(try await client.get("/health").status == 200)
            #expect(try await client.get("/ready").json?["ready"]?.bool == true)
            #expect(try await client.get("/v1/models").json?["object"]?.string == "list")
            let missing = try await client.get("/nope")
            #expect(missing.status == 404)
            #expect(missing.json?["error"]?["type"]?.string == "NotFoundError")
            #expect(try await client.post("/v1/completions", "{bad").status == 400)
        }
    }

    @Test("a dropped body cancels the decode and frees what it held")
    func droppedBody() async throws {
        try await withRouter(Topology(handoff: .nixl)) { _, router, harness in
            let text =
                #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":"x","max_tokens":200,"ignore_eos":true,"stream":true}"#
            do {
                let response = try await router.respond(
                    to: HTTPRequest(method: .post, scheme: nil, authority: nil, path: "/v1/completions"),
                    body: ByteBuffer(string: text))
                #expect(response.head.status.code == 200)
                for try await _ in response.body { break }
            }
            #expect(try await harness.settledLedgers().allSatisfy(\.isClean))
        }
    }

    @Test("a cancelled task gets an error, and the engine is let go")
    func cancelledTask() async throws {
        try await withRouter(Topology(handoff: .nixl)) { _, router, harness in
            var faults = SimulatedFaults()
            faults.holdPrefills = true
            try await harness.prefill[0].inject(faults)
            let task = Task {
                try await router.respond(
                    to: HTTPRequest(method: .post, scheme: nil, authority: nil, path: "/v1/completions"),
                    body: ByteBuffer(string: #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":"x"}"#))
            }
            try await eventually { try await harness.prefill[0].load() == 1 }
            task.cancel()
            await #expect(throws: DisaggError.self) { _ = try await task.value }
            try await eventually { try await harness.prefill[0].load() == 0 }
            #expect(try await harness.settledLedgers().allSatisfy(\.isClean))
        }
    }
}
