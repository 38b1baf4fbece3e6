import Testing

@testable import DisaggCore

@Suite("Bad requests", .serialized, .timeLimit(.minutes(2)))
struct BadRequestTests {
    /// One proxy for many bad inputs, which must also serve a good one after them all.
    private func withLivingProxy(
        _ topology: Topology = Topology(handoff: .none), settings: (inout Deployment) -> Void = { _ in },
        _ body: (ProxyHarness) async throws -> Void
    ) async throws {
        try await withProxy(topology, settings: settings) { harness in
            try await body(harness)
            let good = try await WireClient.exchange(
                harness.proxy.port, WireRequest.post(WireRequest.completion(stream: false)))
            #expect(good.status == 200)
        }
    }

    @Test("bytes that are no HTTP/1 request get a 400 in the OpenAI shape and the connection's end")
    func notHTTP() async throws {
        let requests = [
            "rubbish\r\n\r\n", "GET\r\n\r\n", "GET /health\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
            "GET /health HTTP/1.1\r\nno colon\r\n\r\n", "GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
            "GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\na: \u{0}\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost: x\r\na: b\rc\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
        try await withLivingProxy { harness in
            for request in requests {
                let client = try await WireClient(port: harness.proxy.port)
                try await client.send(request)
                let response = await client.next()
                #expect(response?.status == 400, "\(request.debugDescription)")
                #expect(response?.openAIError != nil, "\(request.debugDescription)")
                #expect(response?.header("connection") == "close")
                #expect(await client.rest().isEmpty)
                await client.close()
            }
        }
    }

    @Test("a method that nobody knows is still HTTP: it gets a 405 and the connection stays")
    func unknownMethods() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for method in ["FROBNICATE", "get", "PATCH"] {
                try await client.send("\(method) /health HTTP/1.1\r\nHost: x\r\n\r\n")
                let response = await client.next()
                #expect(response?.status == 405, "\(method)")
                #expect(response?.header("allow") == "GET, HEAD")
            }
            await client.close()
        }
    }

    @Test("framing that could be read in two ways gets a 400 and is not forwarded")
    func ambiguousFraming() async throws {
        let fields = [
            ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"],
            ["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5, 6"], ["Content-Length: -1"],
            ["Content-Length: +5"], ["Content-Length: 0x5"], ["Content-Length: 5 5"], ["Content-Length: "],
            ["Content-Length: 99999999999999999999999"], ["Transfer-Encoding: gzip"],
            ["Transfer-Encoding: chunked, gzip"],
            ["Transfer-Encoding: xchunked"], ["Transfer-Encoding: identity"],
        ]
        try await withLivingProxy { harness in
            for lines in fields {
                let client = try await WireClient(port: harness.proxy.port)
                try await client.send(
                    "POST /v1/completions HTTP/1.1\r\nHost: x\r\n\(lines.joined(separator: "\r\n"))\r\n\r\n5\r\n{\"a\":\r\n0\r\n\r\n"
                )
                let response = await client.next()
                #expect(response?.status == 400, "\(lines)")
                #expect(response?.header("connection") == "close", "\(lines)")
                await client.close()
            }
            #expect(try await harness.decode[0].receivedRequests().total == 0)
        }
    }

    @Test("bodies that are no JSON object get a 400 that names the byte, and the connection stays")
    func badJSON() async throws {
        let bodies = [
            "{", "}", "{bad", "[]", "null", "1", "\"x\"", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":}", "{\"a\":01}",
            "{\"a\":tru}",
            "{\"a\":\"\\x\"}", "{\"a\":\"\u{1}\"}", "{\"a\":1}{", "{\"a\":1} x", "\u{FEFF}{}", "{'a':1}", "{\"a\":\"",
            "{\"\\", "{\"\\u00", "{\"a\":[}", "{\"a\":[1}}", "\u{0}", " ", "\\", "{\"a\":NaN}", "{\"a\":1e}", "{,}",
            String(repeating: "[", count: 5_000), "{\"a\":" + String(repeating: "[", count: 100_000),
            "{\"a\":" + String(repeating: "{\"b\":", count: 1_000),
            "{" + String(repeating: "\"a\":0,", count: 100_000) + "\"b\":0}",
        ]
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for path in ["/v1/completions", "/v1/chat/completions"] {
                for body in bodies {
                    try await client.send(WireRequest.post(body, path: path))
                    let response = try #require(await client.next(), "\(body.prefix(40).debugDescription)")
                    #expect(
                        response.status == 400 && response.openAIError?.contains("JSON") == true, "\(body.prefix(40))")
                }
            }
            await client.close()
        }
    }

    @Test("a missing and an empty body get a 400")
    func noBody() async throws {
        try await withLivingProxy { harness in
            for request in [
                WireRequest.post(""), "POST /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n",
                "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ] {
                let response = try await WireClient.exchange(harness.proxy.port, request)
                #expect(response.status == 400 && response.openAIError != nil)
            }
        }
    }

    @Test(
        "numbers at the edges of 64 bits never trap", arguments: Topology.everyHandoff)
    func extremeNumbers(topology: Topology) async throws {
        let numbers = [
            "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e400", "-1e400", "1e-400", "9.2e18",
            "-0",
            "0.5", "123456789012345678901234567890123456789", "\"5\"", "null", "[]", "{}", "true",
        ]
        try await withLivingProxy(topology) { harness in
            for field in ["max_tokens", "min_tokens", "n", "best_of"] {
                for number in numbers {
                    let body =
                        #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":"hello","\#(field)":\#(number),"stop":null}"#
                    let response = try await WireClient.exchange(harness.proxy.port, WireRequest.post(body))
                    #expect(response.isComplete && response.json != nil, "\(field) \(number)")
                }
            }
        }
    }

    @Test("chunked request bodies are served, however they are chunked")
    func chunkedBody() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            let body = WireRequest.completion(stream: false)
            let head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            for size in [1, 7, 4_096] {
                var rest = Substring(body)
                var text = head
                while !rest.isEmpty {
                    let piece = rest.prefix(size)
                    text += ScriptedReply.chunk(String(piece))
                    rest = rest.dropFirst(size)
                }
                try await client.send(text + "0\r\nx-trailer: 1\r\n\r\n")
                #expect(await client.next()?.json?["usage"]?["completion_tokens"]?.int == 4)
            }
            try await client.send(head + "zz\r\n")
            #expect(await client.next()?.status == 400)
            await client.close()
        }
    }

    @Test("a body over the limit gets a 413 that the client can read, announced or chunked")
    func tooLargeBody() async throws {
        try await withLivingProxy(
            settings: { $0.proxy.maximumBodyBytes = 10_000 },
            { harness in
                let large = String(repeating: " ", count: 3 << 20)
                let requests = [
                    WireRequest.post(large), WireRequest.post(large, version: "1.0"),
                    "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + String(repeating: ScriptedReply.chunk(String(repeating: " ", count: 9_000)), count: 300),
                ]
                for request in requests {
                    let client = try await WireClient(port: harness.proxy.port)
                    // A client that sends everything before it reads must not meet a reset.
                    try await client.send(request)
                    let response = try #require(await client.next())
                    #expect(
                        response.status == 413 && response.openAIError != nil
                            && response.header("connection") == "close")
                    await client.close()
                }
                let limit = WireRequest.completion(stream: false)
                let padded = limit + String(repeating: " ", count: 10_000 - limit.utf8.count)
                #expect(try await WireClient.exchange(harness.proxy.port, WireRequest.post(padded)).status == 200)
                #expect(try await WireClient.exchange(harness.proxy.port, WireRequest.post(padded + " ")).status == 413)
            })
    }

    @Test("a prompt of 100 MB gets a 413 without being kept, however it is announced", arguments: [true, false])
    func hugePrompt(isChunked: Bool) async throws {
        try await withLivingProxy { harness in
            let before = try Self.residentBytes()
            let client = try await WireClient(port: harness.proxy.port)
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(100 << 20)"
            try await client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\n\(framing)\r\n\r\n")
            let piece = String(repeating: "x", count: 1 << 20)
            let text = isChunked ? ScriptedReply.chunk(piece) : piece
            for _ in 0..<100 { try await client.send(text) }
            #expect(await client.next()?.status == 413)
            await client.close()
            // The limit's body, doubled while it grew, and what else this process does meanwhile.
            let limit = harness.deployment.proxy.maximumBodyBytes
            let grown = try Self.residentBytes() - before
            #expect(limit < 100 << 20 && grown < 4 * limit, "\(grown) bytes for a limit of \(limit)")
        }
    }

    /// Memory of this process.
    private static func residentBytes() throws -> Int {
        let pages = try #require(ProcFile.text("/proc/self/statm")?.split(separator: " ")[1])
        return try #require(Int(pages)) * 4096
    }

    @Test("a head over the limit gets a 431 that the client can read")
    func tooLargeHead() async throws {
        try await withLivingProxy(
            settings: { $0.proxy.maximumHeadBytes = 4_096 },
            { harness in
                let requests = [
                    WireRequest.get("/health", headers: ["a: " + String(repeating: "x", count: 5_000)]),
                    WireRequest.get("/health", headers: ["a: " + String(repeating: "x", count: 2 << 20)]),
                    WireRequest.get("/health", headers: (0..<2_000).map { "field-\($0): \($0)" }),
                    WireRequest.get("/" + String(repeating: "x", count: 5_000)),
                    WireRequest.get("/health?" + String(repeating: "x", count: 1 << 20)),
                    WireRequest.get("/health", headers: [String(repeating: "x", count: 1 << 20) + ": 1"]),
                ]
                for request in requests {
                    let client = try await WireClient(port: harness.proxy.port)
                    try await client.send(request)
                    let response = await client.next()
                    #expect(response?.status == 431 && response?.openAIError != nil, "\(request.prefix(60))")
                    await client.close()
                }
                #expect(
                    try await WireClient.exchange(
                        harness.proxy.port,
                        WireRequest.get("/health", headers: ["a: " + String(repeating: "x", count: 3_000)])
                    ).status == 200)
            })
    }

    @Test(
        "a request that stands still gets a 408 and the connection's end",
        arguments: [
            "GET /hea", "POST /v1/completions HTTP/1.1\r\nHost: x\r\n",
            "POST /v1/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
            "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a",
        ])
    func slowRequest(request: String) async throws {
        try await withProxy(
            Topology(handoff: .none, prefill: 0), settings: { $0.proxy.requestReadTimeout = .milliseconds(50) },
            { harness in
                let client = try await WireClient(port: harness.proxy.port)
                try await client.send(request)
                let response = try #require(await client.next())
                #expect(
                    response.status == 408 && response.openAIError != nil && response.header("connection") == "close")
                #expect(await client.rest().isEmpty)
                await client.close()
            })
    }

    @Test("unknown paths are 404 and wrong methods 405 with the methods there are, in the OpenAI shape")
    func notFoundAndNotAllowed() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for path in ["/", "/v1", "/v1/completions/", "/nope?x=1", "/V1/models", "//health", "/health/../x", "*"] {
                try await client.send(WireRequest.get(path))
                let response = try #require(await client.next())
                #expect(response.status == 404 && response.openAIError != nil, "\(path)")
            }
            let wrong: [(String, String, String)] = [
                ("GET", "/v1/completions", "POST"), ("PUT", "/v1/chat/completions?x", "POST"),
                ("POST", "/health", "GET, HEAD"),
                ("DELETE", "/metrics", "GET"), ("OPTIONS", "/v1/models", "GET"), ("PATCH", "/tokenize", "POST"),
                ("TRACE", "/ready", "GET, HEAD"), ("PROPFIND", "/version", "GET"),
            ]
            for (method, path, allowed) in wrong {
                try await client.send("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
                let response = try #require(await client.next())
                #expect(response.status == 405 && response.openAIError != nil, "\(method) \(path)")
                #expect(response.values("allow") == [allowed], "\(method) \(path)")
            }
            await client.close()
        }
    }

    @Test("an answer to HEAD has no body, whatever its status")
    func headRequests() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for (path, status) in [
                ("/health", 200), ("/ready", 200), ("/nope", 404), ("/v1/models", 405), ("/health", 200),
            ] {
                try await client.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
                let response = try #require(await client.next(method: "HEAD"))
                #expect(response.status == status && response.statusLine.hasPrefix("HTTP/1.1 "), "\(path)")
            }
            try await client.send(WireRequest.get("/health", headers: ["Connection: close"]))
            #expect(await client.next()?.status == 200)
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }

    @Test("a query is no part of the path, and an absolute target is its path")
    func targets() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            for target in [
                "/health?x=1", "/health?", "http://example.test/health", "HTTP://example.test:80/health?x",
                "/v1/models?a=b",
                "http://example.test/v1/models?a=b",
            ] {
                try await client.send(WireRequest.get(target))
                #expect(await client.next()?.status == 200, "\(target)")
            }
            try await client.send(WireRequest.get("http://example.test"))
            #expect(await client.next()?.status == 404)
            try await client.send(
                WireRequest.post(WireRequest.completion(stream: false), path: "/v1/completions?api-version=1"))
            #expect(await client.next()?.status == 200)
            await client.close()
        }
    }

    @Test("CONNECT is refused and the connection ends")
    func connect() async throws {
        try await withLivingProxy { harness in
            let client = try await WireClient(port: harness.proxy.port)
            try await client.send("CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n")
            let response = try #require(await client.next())
            #expect((400..<500).contains(response.status) && response.header("connection") == "close")
            #expect(await client.rest().isEmpty)
            await client.close()
        }
    }
}
