import Testing

@testable import DisaggCore

@Suite("The admin API", .serialized, .timeLimit(.minutes(2)))
struct AdminAPITests {
    private let topology = Topology(handoff: .none, prefill: 0)

    @Test("the token is asked for on everything but the page and the health of the proxy")
    func authorization() async throws {
        try await withAdminProxy(topology) { harness, admin, _ in
            for route in AdminRoute.all {
                for method in route.methods {
                    let path = route.path.replacing("{id}", with: "decode-0")
                    let open = ["/", "/health"].contains(path)
                    for wrong in [[], ["Authorization: Bearer s3cret-toke"], ["Authorization: Basic s3cret-token"]] {
                        let response = try await harness.admin.send(
                            method, path, body: method == "GET" ? nil : "{}", headers: wrong)
                        if open {
                            #expect(response.status == 200, "\(method) \(path)")
                        } else {
                            #expect(response.isOpenAIError(401), "\(method) \(path)")
                            #expect(response.headers.contains { $0.name == "www-authenticate" })
                        }
                    }
                }
            }
            #expect(try await admin.call("GET", "/admin/v1/backends").status == 200)
            #expect(try await admin.states() == ["decode-0": "up"])
        }
    }

    @Test("without a token everybody on this machine may look and nobody may change")
    func withoutToken() async throws {
        try await withAdminProxy(topology, token: nil) { harness, admin, _ in
            #expect(try await admin.call("GET", "/admin/v1/status").status == 200)
            for route in AdminRoute.all {
                for method in route.methods where method != "GET" {
                    let path = route.path.replacing("{id}", with: "decode-0")
                    #expect(try await admin.call(method, path, "{}").isOpenAIError(403), "\(method) \(path)")
                }
            }
            // A page of another site that calls this machine by a name of its own.
            let connection = try await RawConnection(port: harness.admin.port)
            try await connection.send("GET /admin/v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            #expect(await connection.read().isOpenAIError(403))
            await connection.close()
        }
    }

    @Test(
        "an address that others can reach needs a token",
        arguments: [
            ("127.0.0.1", true), ("localhost", true), ("::1", true), ("127.1.2.3", true), ("0.0.0.0", false),
            ("::", false), ("10.0.0.1", false), ("127.0.0.1.example", false), ("example.org", false),
        ])
    func openListener(host: String, isLoopback: Bool) {
        let endpoint = Endpoint(host: host, port: 9001)
        var refusal: DisaggError?
        do throws(DisaggError) { try AdminServer.check(endpoint, token: nil) } catch { refusal = error }
        #expect((refusal == nil) == isLoopback)
        #expect(refusal?.message.contains("needs a token") ?? true)
        #expect(throws: Never.self) { try AdminServer.check(endpoint, token: AdminToken("x")) }
    }

    @Test("bad requests are told what is wrong, in the OpenAI shape")
    func badRequests() async throws {
        try await withAdminProxy(topology) { _, admin, _ in
            let backends = "/admin/v1/backends"
            let cases: [(String, String, String?, Int, String)] = [
                ("POST", backends, "{", 400, "JSON"), ("POST", backends, "[]", 400, "object"),
                ("POST", backends, #"{"role":"both","url":"http://x:1"}"#, 400, "role"),
                ("POST", backends, #"{"role":"decode"}"#, 400, "url"),
                ("POST", backends, #"{"role":"decode","url":"http://h:1","wieght":1}"#, 400, "wieght"),
                ("POST", backends, #"{"role":"decode","url":"http://h:1","weight":2}"#, 400, "weight"),
                ("POST", backends, #"{"role":"decode","url":"http://h:1","id":"a b"}"#, 400, "id"),
                ("POST", backends, #"{"role":"decode","url":"http://h:1","id":"decode-0"}"#, 409, "decode-0"),
                ("PUT", backends + "/decode-0/weight", "{}", 400, "weight"),
                ("POST", backends + "/decode-0/drain?wait=soon", nil, 400, "wait"),
                ("POST", backends + "/decode-0/drain?fast=1", nil, 400, "fast"),
                ("POST", backends + "/nobody/drain", nil, 404, "nobody"), ("GET", "/admin/v2", nil, 404, "/admin/v2"),
                ("DELETE", backends, nil, 405, "DELETE"),
            ]
            for (method, path, body, status, word) in cases {
                let response = try await admin.call(method, path, body)
                #expect(response.isOpenAIError(status), "\(method) \(path): \(response.body)")
                #expect(
                    response.json?["error"]?["message"]?.string?.contains(word) == true,
                    "\(method) \(path): \(response.body)")
            }
            #expect(try await admin.states() == ["decode-0": "up"])
        }
    }

    @Test("the page is one document that loads nothing")
    func page() async throws {
        try await withAdminProxy(topology) { harness, _, _ in
            let page = try await harness.admin.get("/")
            #expect(page.status == 200)
            #expect(page.body.hasPrefix("<!DOCTYPE html>"))
            for outside in ["src=", "<link", "@import", "url(", "https://"] { #expect(!page.body.contains(outside)) }
            #expect(page.headers.contains { $0.name == "content-security-policy" && $0.value.contains("'none'") })
        }
    }

    @Test("the status document holds what the page draws")
    func status() async throws {
        try await withAdminProxy(topology) { harness, admin, _ in
            let id = "the-request-7"
            let body = ProxyHarness.completion("status", #""max_tokens":4,"stream":true,"ignore_eos":true"#)
            _ = try await harness.proxy.send(
                "POST", "/v1/completions", body: body, headers: ["X-Request-Id: \(id)"])
            let status = try #require(try await admin.call("GET", "/admin/v1/status").json)
            #expect(status["handoff"]?.string == "none")
            #expect(status["requests"]?["finished"]?.int == 1)
            let decision = status["decisions"]?[0]
            #expect(decision?["request_id"]?.string == id)
            #expect(decision?["decode"]?.string == "decode-0")
            #expect(decision?["reason"]?.string == "no-handoff")
            let first = status["latencies"]?["first_token"]
            #expect(first?["counts"]?.elements.compactMap(\.int).reduce(0, +) == 1)
            #expect(first?["counts"]?.elements.count == (first?["bounds"]?.elements.count ?? 0) + 1)
            #expect(status["backends"]?[0]?["picks"]?.int == 1)
        }
    }

    @Test("the token is in no answer, no metric and no description")
    func secrecy() async throws {
        try await withAdminProxy(topology) { harness, admin, _ in
            for path in ["/", "/metrics", "/admin/v1/status", "/admin/v1/backends", "/admin/v1/reload", "/nowhere"] {
                let answer = try await admin.call("GET", path)
                #expect(!answer.body.contains("s3cret-token"))
            }
            let page = try await harness.proxy.get("/metrics")
            #expect(!page.body.contains("s3cret-token"))
            let token = try #require(AdminToken("s3cret-token"))
            #expect("\(token)" == "[token]")
        }
    }
}
