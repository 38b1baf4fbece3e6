import InMemoryTracing
import Testing
import Tracing

@testable import DisaggCore

@Suite("What a request leaves behind", .serialized, .timeLimit(.minutes(2)))
struct ObservedRequestTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    @Test(
        "one line of the access log for each request, with pair, reason, stages and bytes",
        arguments: Topology.everyHandoff)
    func accessLog(topology: Topology) async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/access.log"
        let stream = ProxyHarness.completion(
            "logged", #""max_tokens":6,"temperature":0,"ignore_eos":true,"stream":true"#)
        var received = 0
        try await withProxy(
            topology, settings: { $0.proxy.accessLog.path = path },
            { harness in
                let answer = try await harness.proxy.send(
                    "POST", "/v1/completions", body: stream,
                    headers: ["X-Request-Id: log-1", "traceparent: 00-\(Self.trace)-b7ad6b7169203331-01"])
                #expect(answer.headers.contains { $0.name == "x-request-id" && $0.value == "log-1" })
                received = answer.body.utf8.count
                _ = try await harness.proxy.send("POST", "/v1/completions", body: "{", headers: ["X-Request-Id: log-2"])
                _ = try await harness.proxy.send("GET", "/nowhere?key=secret", headers: ["X-Request-Id: log-3"])
                _ = try await harness.proxy.send("GET", "/v1/models", headers: ["X-Request-Id: log-4"])
                _ = try await harness.proxy.get("/metrics")
            })
        let text = try #require(ProcFile.text(path))
        #expect(!text.contains("secret") && !text.contains("logged"))
        let lines = try text.split(separator: "\n").map { try JSONView(parsing: String($0)) }
        #expect(lines.compactMap { $0["request_id"]?.string }.sorted() == ["log-1", "log-2", "log-3", "log-4"])
        let byID = Dictionary(lines.map { ($0["request_id"]?.string ?? "", $0) }, uniquingKeysWith: { $1 })
        let first = try #require(byID["log-1"])
        let isPair = topology.handoff != .none
        #expect(first["status"]?.int == 200)
        #expect(first["handoff"]?.string == topology.handoff.rawValue)
        #expect(first["reason"]?.string == (isPair ? "disaggregated" : "no-handoff"))
        #expect(first["prefill"]?.string == (isPair ? "prefill-0" : nil))
        #expect(first["decode"]?.string == "decode-0")
        #expect(first["trace_id"]?.string == Self.trace)
        #expect(first["bytes_in"]?.int == stream.utf8.count)
        #expect(first["bytes_out"]?.int ?? 0 >= received)
        #expect((first["prefill_ms"] != nil) == isPair)
        #expect((first["handoff_ms"] != nil) == isPair)
        for stage in ["queue", "decode_first_byte", "first_byte", "total", "proxy"] {
            #expect(first["\(stage)_ms"]?.double ?? -1 >= 0, "\(stage) in \(first.rawString)")
        }
        #expect(byID["log-2"]?["status"]?.int == 400 && byID["log-2"]?["reason"]?.string == "invalid-request")
        #expect(byID["log-3"]?["status"]?.int == 404 && byID["log-3"]?["path"]?.string == "/nowhere")
        #expect(byID["log-4"]?["status"]?.int == 200 && byID["log-4"]?["reason"]?.string == "any-engine")
    }

    @Test("requests are counted by endpoint, status, protocol and reason, and measured once")
    func metrics() async throws {
        try await withProxy(Topology(handoff: .nixl)) { harness in
            for number in 0..<3 {
                _ = try await harness.proxy.post(
                    "/v1/completions",
                    ProxyHarness.completion("m\(number)", #""max_tokens":8,"ignore_eos":true,"stream":true"#))
            }
            _ = try await harness.proxy.post("/v1/chat/completions", "{}}")
            _ = try await harness.proxy.get("/secret/path")
            let page = try ScrapedSample.page(try await harness.proxy.get("/metrics").body)
            func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
                page.first { sample in
                    sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
                }?.value
            }
            let served = ["endpoint": "/v1/completions", "code": "200", "protocol": "nixl", "reason": "disaggregated"]
            #expect(value("disagg_requests_total", served) == 3)
            #expect(
                value("disagg_requests_total", ["endpoint": "/v1/chat/completions", "reason": "invalid-request"]) == 1)
            #expect(value("disagg_requests_total", ["endpoint": "other", "code": "404"]) == 1)
            #expect(!page.contains { $0.labels.values.contains { $0.contains("secret") } })
            for stage in ["queue", "prefill", "handoff", "decode_first_byte"] {
                #expect(value("disagg_stage_seconds_count", ["stage": stage]) == 3, "\(stage)")
            }
            #expect(value("disagg_time_to_first_token_seconds_count", ["path": "pair"]) == 3)
            #expect(value("disagg_time_per_output_token_seconds_count", ["path": "pair"]) == 3)
            #expect(value("disagg_request_duration_seconds_count", ["path": "pair"]) == 3)
            #expect(value("disagg_proxy_overhead_seconds_count") == 3)
            #expect(value("disagg_kv_endings_total", ["ending": "consumed"]) == 3)
            #expect(value("disagg_kv_leases_leaked_total") == 0)
            for name in ["in_flight", "picks_total", "up", "breaker_state", "weight", "open_handoffs"] {
                #expect(value("disagg_backend_\(name)", ["backend": "prefill-0", "role": "prefill"]) != nil, "\(name)")
            }
            let openMetrics = try await harness.proxy.send(
                "GET", "/metrics", headers: ["Accept: application/openmetrics-text; version=1.0.0"])
            #expect(openMetrics.body.hasSuffix("# EOF\n"))
            #expect(openMetrics.headers.contains { $0.value.hasPrefix("application/openmetrics-text") })
        }
    }

    /// The spans of a request that a client sends within a trace of its own.
    private static func spans(
        of body: String, _ handoff: HandoffKind, _ prefill: ScriptedServer, _ decode: ScriptedServer,
        headers: [String] = []
    ) async throws -> [FinishedInMemorySpan] {
        let tracer = InMemoryTracer()
        try await withTracer(tracer) {
            try await withProxy(
                Topology(handoff: handoff),
                settings: {
                    $0.prefill.urls = [prefill.endpoint]
                    $0.decode.urls = [decode.endpoint]
                },
                { harness in
                    let ids = ["in-memory-trace-id: client-trace", "in-memory-span-id: client-span"]
                    let response = try await WireClient.exchange(
                        harness.proxy.port, WireRequest.post(body, headers: ids + headers))
                    #expect(response.status == 200)
                    try await harness.settles()
                })
        }
        return tracer.finishedSpans
    }

    @Test("with a tracer the request and its legs are spans of the client's trace, and the legs' engines join them")
    func spans() async throws {
        let answer = ScriptedReply.send(ScriptedReply.json("{\"choices\":[]}"))
        let prefill = try await ScriptedServer { _, _, _ in answer }
        let decode = try await ScriptedServer { _, _, _ in answer }
        let spans = try await Self.spans(
            of: WireRequest.completion, .plain, prefill, decode, headers: ["x-kept: 1"])
        #expect(spans.map(\.operationName).sorted() == ["POST /v1/completions", "disagg.decode", "disagg.prefill"])
        #expect(spans.allSatisfy { $0.traceID == "client-trace" })
        let request = try #require(spans.first { $0.operationName == "POST /v1/completions" })
        #expect(request.parentSpanID == "client-span")
        #expect(request.attributes.get("disagg.prefill") == .string("prefill-0"))
        #expect(request.attributes.get("disagg.reason") == .string("disaggregated"))
        for (name, engine) in [("disagg.prefill", prefill), ("disagg.decode", decode)] {
            let span = try #require(spans.first { $0.operationName == name })
            #expect(span.parentSpanID == request.spanID)
            let sent = try #require(engine.log.requests.first { $0.hasPrefix("POST") })
            #expect(sent.components(separatedBy: "in-memory-trace-id: ").count == 2, "\(sent)")
            #expect(sent.contains("in-memory-span-id: \(span.spanID)\r\n"), "\(sent)")
            #expect(sent.contains("x-kept: 1\r\n"))
        }
        await prefill.shutdown()
        await decode.shutdown()
    }

    @Test("the parts of a split request are spans of one request in the client's trace")
    func parts() async throws {
        let choice = #"{"id":"a","created":1,"choices":[{"index":0,"text":"x","finish_reason":"length"}]}"#
        let engine = try await ScriptedServer { _, _, _ in .send(ScriptedReply.json(choice)) }
        let spans = try await Self.spans(of: #"{"prompt":["a","b"],"max_tokens":1}"#, .nixl, engine, engine)
        #expect(spans.allSatisfy { $0.traceID == "client-trace" })
        let whole = spans.filter { $0.parentSpanID == "client-span" }
        #expect(whole.map(\.operationName) == ["POST /v1/completions"])
        let parts = spans.filter { $0.parentSpanID == whole.first?.spanID }
        #expect(parts.map(\.operationName) == ["POST /v1/completions", "POST /v1/completions"])
        for part in parts {
            let legs = spans.filter { $0.parentSpanID == part.spanID }.map(\.operationName)
            #expect(legs.sorted() == ["disagg.decode", "disagg.prefill"])
        }
        await engine.shutdown()
    }

    @Test("without a tracer a client's trace headers go to both legs as they came")
    func forwarding() async throws {
        let answer = ScriptedReply.send(ScriptedReply.json("{\"choices\":[]}"))
        let prefill = try await ScriptedServer { _, _, _ in answer }
        let decode = try await ScriptedServer { _, _, _ in answer }
        let headers = [
            "traceparent: 00-\(Self.trace)-b7ad6b7169203331-01", "tracestate: vendor=opaque", "x-request-id: both-1",
        ]
        try await withProxy(
            Topology(handoff: .plain),
            settings: {
                $0.prefill.urls = [prefill.endpoint]
                $0.decode.urls = [decode.endpoint]
            },
            { harness in
                let response = try await WireClient.exchange(
                    harness.proxy.port, WireRequest.post(WireRequest.completion, headers: headers))
                #expect(response.header("x-request-id") == "both-1")
            })
        for engine in [prefill, decode] {
            let sent = try #require(engine.log.requests.first { $0.hasPrefix("POST") })
            for header in headers { #expect(sent.contains(header + "\r\n"), "\(header) in \(sent)") }
        }
        await prefill.shutdown()
        await decode.shutdown()
    }
}
