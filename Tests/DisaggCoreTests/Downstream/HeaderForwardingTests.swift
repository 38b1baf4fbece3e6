import Testing

@testable import DisaggCore

@Suite("Header forwarding", .serialized, .timeLimit(.minutes(2)))
struct HeaderForwardingTests {
    /// The proxy with one scripted prefill and one scripted decode engine.
    private func withScriptedPair(
        _ body: (_ prefill: ScriptedServer, _ decode: ScriptedServer, ProxyHarness) async throws -> Void
    ) async throws {
        let answer = ScriptedReply.send(
            "HTTP/1.1 200 OK\r\nserver: scripted\r\nX-Request-Id: theirs\r\nkeep-alive: timeout=5\r\nConnection: x-hop\r\n"
                + "x-hop: 1\r\nx-kept: é\r\nx-twice: 1\r\nx-twice: 2\r\ncontent-type: application/json\r\n"
                + "content-length: 14\r\n\r\n{\"choices\":[]}")
        let prefill = try await ScriptedServer { _, _, _ in answer }
        let decode = try await ScriptedServer { _, _, _ in answer }
        try await withProxy(
            Topology(handoff: .plain),
            settings: {
                // Only what clients cause is looked at.
                for role in BackendRole.allCases { $0.routing[role].healthInterval = .zero }
                $0.prefill.urls = [prefill.endpoint]
                $0.decode.urls = [decode.endpoint]
            }, { try await body(prefill, decode, $0) })
        await prefill.shutdown()
        await decode.shutdown()
    }

    private func fields(_ request: String) -> [String] {
        let head = request.prefix(upTo: request.firstRange(of: "\r\n\r\n")?.lowerBound ?? request.endIndex)
        return head.split(separator: "\r\n").dropFirst().map { String($0) }
    }

    @Test("both legs get the client's fields, but no hop-by-hop ones and none that the proxy writes itself")
    func requestFields() async throws {
        try await withScriptedPair { prefill, decode, harness in
            let response = try await WireClient.exchange(
                harness.proxy.port,
                WireRequest.post(
                    WireRequest.completion,
                    headers: [
                        "Authorization: Bearer secret", "X-Request-Id: mine-1", "Accept-Encoding: gzip", "TE: trailers",
                        "Connection: keep-alive, X-Listed", "X-Listed: 1", "Keep-Alive: 5", "Proxy-Authorization: p",
                        "Proxy-Connection: close", "X-Twice: 1", "X-Twice: 2", "traceparent: 00-a-b-01", "Trailer: x",
                        "Accept: text/event-stream", "Cookie: a=b", "Empty:",
                    ]))
            #expect(response.status == 200)
            for (engine, port) in [(prefill, prefill.port), (decode, decode.port)] {
                let request = try #require(engine.log.requests.first { !$0.contains("disagg-monitor") })
                let lines = fields(request).map { $0.lowercased() }
                for kept in [
                    "authorization: bearer secret", "x-request-id: mine-1", "x-twice: 1", "x-twice: 2", "cookie: a=b",
                    "traceparent: 00-a-b-01", "content-type: application/json", "accept: text/event-stream",
                    "host: 127.0.0.1:\(port)",
                ] {
                    #expect(lines.filter { $0 == kept }.count == 1, "\(kept) in \(lines)")
                }
                for name in [
                    "accept-encoding", "te", "connection", "x-listed", "keep-alive", "proxy-authorization",
                    "proxy-connection",
                    "trailer", "transfer-encoding", "expect",
                ] {
                    #expect(!lines.contains { $0.hasPrefix(name + ":") }, "\(name) in \(lines)")
                }
                #expect(lines.filter { $0.hasPrefix("host:") }.count == 1)
                let body = request.suffix(from: request.firstRange(of: "\r\n\r\n")?.upperBound ?? request.endIndex)
                #expect(lines.filter { $0.hasPrefix("content-length:") } == ["content-length: \(body.utf8.count)"])
            }
        }
    }

    @Test("the client gets the engine's fields, but no hop-by-hop ones, and its own request id")
    func responseFields() async throws {
        try await withScriptedPair { _, _, harness in
            for request in [
                WireRequest.post(WireRequest.completion, headers: ["X-Request-Id: mine-2"]),
                WireRequest.get("/v1/models", headers: ["X-Request-Id: mine-2"]),
            ] {
                let response = try await WireClient.exchange(harness.proxy.port, request)
                #expect(response.values("x-request-id") == ["mine-2"])
                #expect(response.values("x-twice") == ["1", "2"])
                #expect(response.header("x-kept") == "é" && response.header("server") == "scripted")
                #expect(response.header("x-hop") == nil && response.header("keep-alive") == nil)
                #expect(response.header("connection") == nil)
                #expect(response.values("content-length") == ["14"])
            }
        }
    }

    @Test(
        "a request id that could inject something is replaced",
        arguments: [
            "a b", "é", String(repeating: "x", count: 10_000), "a\tb", "",
        ])
    func harmfulRequestID(id: String) async throws {
        try await withScriptedPair { prefill, decode, harness in
            let response = try await WireClient.exchange(
                harness.proxy.port, WireRequest.post(WireRequest.completion, headers: ["X-Request-Id: \(id)"]))
            #expect(response.status == 200)
            let own = try #require(response.header("x-request-id"))
            #expect(own != id && own.count == 36)
            for engine in [prefill, decode] {
                let first = engine.log.requests.first { !$0.contains("disagg-monitor") }
                let ids = fields(first ?? "").filter { $0.lowercased().hasPrefix("x-request-id:") }
                #expect(ids == ["x-request-id: \(own)"])
            }
        }
    }

    @Test(
        "line breaks in a field's value never make a field of their own",
        arguments: ["a\r\n injected: 1", "a\r\n\tinjected: 1", "a\rinjected: 1", "a\ninjected: 1", "a\n\rinjected: 1"])
    func lineBreaks(value: String) async throws {
        try await withScriptedPair { prefill, decode, harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send(
                WireRequest.post(WireRequest.completion, headers: ["X-Any: \(value)", "X-Request-Id: \(value)"]))
            let status = await client.next()?.status
            #expect(status == 200 || status == 400)
            for request in prefill.log.requests + decode.log.requests {
                // A lone LF ends a field to a lenient parser; then the field is the client's own, as any other.
                #expect(!request.contains("\r\n injected") && !request.contains("\rinjected"))
                #expect(
                    !request.unicodeScalars.contains("\r")
                        || request.split(separator: "\r\n").allSatisfy { !$0.contains("\r") })
            }
            await client.close()
        }
    }

    @Test("the id of the answer is the client's request id, through simulated engines")
    func idsAgree() async throws {
        try await withProxy(Topology(handoff: .nixl)) { harness in
            let response = try await WireClient.exchange(
                harness.proxy.port,
                WireRequest.post(WireRequest.completion(stream: false), headers: ["X-Request-Id: my-id-7"]))
            #expect(response.header("x-request-id") == "my-id-7")
            #expect(response.json?["id"]?.string?.contains("my-id-7") == true)
        }
    }
}
