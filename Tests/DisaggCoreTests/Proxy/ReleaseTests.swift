import Testing

@testable import DisaggCore

/// KV that no decode will use is freed, also where the decoder that should tell the prefill engine cannot.
@Suite("Releases", .timeLimit(.minutes(1)))
struct ReleaseTests {
    private static let topologies: [Topology] = [
        .init(handoff: .nixl, prefill: 1, decode: 2), .init(handoff: .moriio, prefill: 1, decode: 2, moriioMode: .read),
    ]

    /// Begins a request whose decode a decoder takes and never answers, and leaves it then.
    private static func leaveHanging(_ harness: ProxyHarness, _ hangs: Int) async throws {
        for engine in harness.decode { try await engine.inject(.with { $0.hang = hangs }) }
        let client = try await RawConnection(port: harness.proxy.port)
        try await client.send(RawHTTPClient.request("POST", "/v1/completions", body: ProxyHarness.completion("one")))
        try await eventually {
            var received = 0
            for engine in harness.decode { received += try await engine.receivedRequests().total }
            return received == 1
        }
        await client.close()
    }

    @Test("a client that leaves a decoder that never looked at the request leaves no KV", arguments: topologies)
    func hangs(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            try await Self.leaveHanging(harness, 1)
            try await harness.settles()
            try await eventually { try await harness.ending("rejected-decode") == 1 }
            try await harness.expectClean()
        }
    }

    @Test("a release goes to another decoder where the first one dies", arguments: topologies)
    func dies(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            try await Self.leaveHanging(harness, 2)
            // The release hangs as the decode did.
            var asked: SimulatedEngine?
            try await eventually {
                for engine in harness.decode where try await engine.receivedRequests().total == 2 { asked = engine }
                return asked != nil
            }
            let dead = try #require(asked)
            for engine in harness.decode where engine !== dead { try await engine.inject(.with { $0.hang = 0 }) }
            let port = try await dead.kill()
            try await eventually { try await harness.ending("rejected-decode") == 1 }
            try await harness.expectClean(except: [dead])
            #expect(try await harness.ending("cancelled") == 0)
            #expect(try await harness.ending("abandoned") == 0)
            withExtendedLifetime(port) {}
        }
    }

    @Test("KV that nobody can free is counted once, as abandoned")
    func abandoned() async throws {
        // An LMCache decoder that dies before it answers takes what it got along.
        try await withProxy(.init(handoff: .lmcache)) { harness in
            try await harness.decode[0].inject(.with { $0.dieOnRequest = 1 })
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("two"))
            #expect(answer.status >= 500)
            try await eventually { try await harness.ending("abandoned") == 1 }
            try await harness.settles()
            #expect(try await harness.endings() == 1)
        }
    }
}

extension ProxyHarness {
    /// KV that ended so, as the proxy counts it.
    func ending(_ name: String) async throws -> Int {
        let value = try await metric("disagg_kv_endings_total{ending=\"\(name)\"")
        return value.flatMap { Int($0) } ?? 0
    }

    /// KV that ended in any way.
    func endings() async throws -> Int {
        var sum = 0
        for reason in ReleaseReason.allCases { sum += try await ending(reason.rawValue) }
        return sum
    }
}
