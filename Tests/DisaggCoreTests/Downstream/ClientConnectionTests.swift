import Testing

@testable import DisaggCore

@Suite("Client connection", .serialized, .timeLimit(.minutes(2)))
struct ClientConnectionTests {
    private static let none = Topology(handoff: .none)

    @Test("two generation requests in one segment are answered in order", arguments: [Topology(handoff: .nixl), none])
    func twoInOneSegment(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            let first = WireRequest.completion(stream: false, tokens: 3)
            let second = WireRequest.completion(stream: false, tokens: 5)
            try await client.send(WireRequest.post(first) + WireRequest.post(second))
            #expect(await client.next()?.json?["usage"]?["completion_tokens"]?.int == 3)
            #expect(await client.next()?.json?["usage"]?["completion_tokens"]?.int == 5)
            await client.close()
        }
    }

    @Test("requests pipelined behind a stream are answered after it, with an error among them")
    func pipelinedBehindStream() async throws {
        try await withProxy(Topology(handoff: .plain)) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(
                WireRequest.post(WireRequest.completion(stream: true, tokens: 6)) + WireRequest.get("/health")
                    + WireRequest.post("{bad") + WireRequest.post(WireRequest.completion(stream: true, tokens: 2)))
            let stream = try #require(await client.next())
            #expect(stream.isChunked && stream.events.last == "[DONE]")
            #expect(await client.next()?.status == 200)
            #expect(await client.next()?.status == 400)
            #expect(await client.next()?.events.last == "[DONE]")
            await client.close()
        }
    }

    @Test("two hundred requests in one segment get two hundred answers")
    func manyInOneSegment() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(String(repeating: WireRequest.get("/health"), count: 200))
            for _ in 0..<200 { #expect(await client.next()?.status == 200) }
            let mixed = (0..<100).map { _ in
                WireRequest.post(WireRequest.completion(stream: false, tokens: 1)) + WireRequest.get("/nope")
            }
            try await client.send(mixed.joined())
            for _ in 0..<100 {
                #expect(await client.next()?.status == 200)
                #expect(await client.next()?.status == 404)
            }
            await client.close()
        }
    }

    @Test("a request sent byte by byte is answered")
    func byteByByte() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for character in WireRequest.post(WireRequest.completion(stream: false, tokens: 2)) {
                try await client.send(String(character))
            }
            #expect(await client.next()?.status == 200)
            await client.close()
        }
    }

    @Test("rubbish behind a request closes the connection after the answer, not before")
    func rubbishBehindRequest() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(
                WireRequest.post(WireRequest.completion(stream: false)) + "\u{1}\u{2} rubbish\r\n\r\n")
            #expect(await client.next()?.json?["usage"]?["completion_tokens"]?.int == 4)
            // What follows may be a 400, and then the end.
            let rest = await client.next()
            #expect(rest == nil || rest?.status == 400)
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("an HTTP/1.0 client gets an answer without chunks, and the connection's end", arguments: [true, false])
    func http10(stream: Bool) async throws {
        try await withProxy(Topology(handoff: .plain)) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(WireRequest.post(WireRequest.completion(stream: stream), version: "1.0"))
            let response = try #require(await client.next())
            #expect(response.statusLine == "HTTP/1.0 200 OK")
            #expect(response.values("transfer-encoding").isEmpty)
            #expect(response.header("connection") == "close")
            if stream { #expect(response.events.last == "[DONE]") } else { #expect(response.json != nil) }
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("an HTTP/1.0 client that asks for keep-alive gets it where the length is known")
    func http10KeepAlive() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for _ in 0..<3 {
                try await client.send(
                    WireRequest.post(
                        WireRequest.completion(stream: false), version: "1.0", headers: ["Connection: keep-alive"]))
                let response = try #require(await client.next())
                #expect(response.header("connection") == "keep-alive" && response.isComplete)
            }
            try await client.send(
                WireRequest.post(
                    WireRequest.completion(stream: true), version: "1.0", headers: ["Connection: keep-alive"]))
            let stream = try #require(await client.next())
            #expect(stream.header("connection") == "close" && stream.events.last == "[DONE]")
            await client.close()
        }
    }

    @Test("a client that asks for the connection's end gets it after the answer", arguments: [true, false])
    func connectionClose(stream: Bool) async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            let request = WireRequest.post(WireRequest.completion(stream: stream), headers: ["Connection: close"])
            // What is pipelined behind it is not served.
            try await client.send(request + WireRequest.get("/health"))
            let response = try #require(await client.next())
            #expect(response.header("connection") == "close" && response.isComplete)
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test(
        "a client that half-closes after its request gets the whole answer",
        arguments: [Topology(handoff: .none), Topology(handoff: .nixl), Topology(handoff: .lmcache)], [true, false])
    func halfClose(topology: Topology, stream: Bool) async throws {
        try await withProxy(topology) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(WireRequest.post(WireRequest.completion(stream: stream, tokens: 20)))
            try await client.finishSending()
            let response = try #require(await client.next())
            #expect(response.status == 200 && response.isComplete)
            if stream { #expect(response.events.last == "[DONE]") }
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("pipelined requests of a client that has half-closed are all answered")
    func halfClosePipelined() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            let request = WireRequest.post(WireRequest.completion(stream: false))
            try await client.send(request + request + WireRequest.get("/health") + request)
            try await client.finishSending()
            for _ in 0..<4 { #expect(await client.next()?.status == 200) }
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("a client that half-closes in the middle of its request is closed without an upstream request")
    func halfRequest() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(String(WireRequest.post(WireRequest.completion(stream: false)).dropLast(5)))
            try await client.finishSending()
            _ = await client.rest()
            #expect(try await harness.decode[0].receivedRequests().total == 0)
            await client.close()
        }
    }

    @Test("a client that leaves during the prefill is noticed, and the prefill is cancelled", arguments: [true, false])
    func leavesDuringPrefill(byReset: Bool) async throws {
        try await withProxy(Topology(handoff: .nixl)) { harness in
            var faults = SimulatedFaults()
            faults.holdPrefills = true
            try await harness.prefill[0].inject(faults)
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(WireRequest.post(WireRequest.completion(stream: true)))
            try await eventually { try await harness.prefill[0].load() == 1 }
            if byReset { try await client.reset() } else { await client.close() }
            try await eventually { try await harness.prefill[0].receivedRequests().aborted == 1 }
            try await eventually { try await harness.prefill[0].load() == 0 }
            try await harness.prefill[0].inject(SimulatedFaults())
            #expect(try await harness.decode[0].receivedRequests().total == 0)
            for ledger in try await harness.settledLedgers() { #expect(ledger.held == 0 && ledger.leaked == 0) }
        }
    }

    @Test("a connection serves many requests of all kinds, and so does the engine's")
    func reuse() async throws {
        try await withProxy(
            Self.none, settings: { $0.proxy.threads = 1 },
            { harness in
                let client = try await WireClient(port: harness.proxy.port)
                for index in 0..<30 {
                    try await client.send(
                        index % 3 == 2
                            ? WireRequest.get("/v1/models")
                            : WireRequest.post(WireRequest.completion(stream: index % 3 == 0, tokens: 2)))
                    let response = try #require(await client.next())
                    #expect(response.status == 200 && response.isComplete && response.header("connection") == nil)
                }
                await client.close()
            })
    }

    @Test("100 Continue is sent to a client that waits for it, and once")
    func expectContinue() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            let body = WireRequest.completion(stream: false)
            let request = WireRequest.post(body, headers: ["Expect: 100-Continue"])
            try await client.send(String(request.dropLast(body.count)))
            #expect(await client.skip(past: "HTTP/1.1 100 Continue\r\n\r\n"))
            try await client.send(body)
            let response = try #require(await client.next())
            #expect(response.status == 200 && response.interim.isEmpty)
            await client.close()
        }
    }

    @Test("a client that expects 100 Continue for too large a body is refused before it sends it")
    func expectTooLarge() async throws {
        try await withProxy(
            Self.none, settings: { $0.proxy.maximumBodyBytes = 1_000 },
            { harness in
                let client = try await WireClient(port: harness.proxy.port)
                try await client.send(
                    "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
                let response = try #require(await client.next())
                #expect(response.status == 413 && response.interim.isEmpty)
                await client.close()
            })
    }

    @Test(
        "an offer to upgrade is declined, and nothing hangs behind it",
        arguments: [
            "GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ])
    func upgrade(request: String) async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(request)
            let response = try #require(await client.next())
            #expect(response.status == 200)
            // The parser takes no further request on this connection, so it must say that it ends.
            #expect(response.header("connection") == "close")
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("a request with a body that offers an upgrade is served")
    func upgradeWithBody() async throws {
        try await withProxy(Self.none) { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(
                WireRequest.post(
                    WireRequest.completion(stream: false),
                    headers: ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]))
            #expect(await client.next()?.json?["usage"]?["completion_tokens"]?.int == 4)
            await client.close()
        }
    }
}
