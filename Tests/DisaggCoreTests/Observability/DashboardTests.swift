import Testing

@testable import DisaggCore

/// One sample of a metrics page.
struct ScrapedSample: Sendable {
    var name: String
    var labels: [String: String]
    var value: Double

    /// Reads a page in the text format 0.0.4.
    static func page(_ text: String) throws -> [ScrapedSample] {
        try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let space = try #require(line.lastIndex(of: " "))
            let value = try #require(Double(line[line.index(after: space)...]))
            let head = line[..<space]
            guard let open = head.firstIndex(of: "{") else {
                return ScrapedSample(name: String(head), labels: [:], value: value)
            }
            var labels: [String: String] = [:]
            for part in head[head.index(after: open)...].dropLast().split(separator: ",") {
                let pair = part.split(separator: "=", maxSplits: 1)
                labels[String(pair[0])] = String(pair[1].dropFirst().dropLast())
            }
            return ScrapedSample(name: String(head[..<open]), labels: labels, value: value)
        }
    }
}

/// A vector selector of a query: a metric and the labels that the query names for it.
struct QuerySelector: Equatable {
    var metric: String
    var matched: [String]
    var grouped: [String]

    /// The selectors of a query of the dashboard; `by (…)` belongs to all selectors after it.
    static func all(in query: String) -> [QuerySelector] {
        var selectors: [QuerySelector] = []
        var grouped: [String] = []
        var rest = Substring(query)
        while let character = rest.first {
            guard character.isLetter || character == "_" else {
                rest.removeFirst()
                continue
            }
            let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == ":" }
            rest.removeFirst(word.count)
            if word == "by" {
                let list = rest.drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }
                grouped = list.split { $0 == "," || $0 == " " }.map(String.init)
                rest = rest.drop { $0 != ")" }
            } else if word.hasPrefix("disagg_") {
                var matched: [String] = []
                if rest.first == "{" {
                    let inner = rest.dropFirst().prefix { $0 != "}" }
                    matched = inner.split(separator: ",").map { String($0.prefix { $0 != "=" }) }
                    rest = rest.drop { $0 != "}" }
                }
                selectors.append(QuerySelector(metric: String(word), matched: matched, grouped: grouped))
            }
        }
        return selectors
    }
}

@Suite("The Grafana dashboard", .serialized, .timeLimit(.minutes(2)))
struct DashboardTests {
    /// Labels that Prometheus adds when it scrapes.
    private static let added: Set<String> = ["instance", "job"]

    private func panels() throws -> [(title: String, queries: [String])] {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let text = try #require(ProcFile.text("/\(root)/Docs/grafana-dashboard.json"))
        let view = try JSONView(parsing: text)
        return try #require(view["panels"]).elements.filter { $0["type"]?.string != "row" }.map { panel in
            (panel["title"]?.string ?? "", panel["targets"]?.elements.compactMap { $0["expr"]?.string } ?? [])
        }
    }

    @Test("a query's metrics and labels are found")
    func selectors() {
        let query = #"sum by (a, b) (rate(disagg_x_total{c="1",d=~".*"}[5m])) / on() disagg_y - 2 * rate(disagg_z[5m])"#
        #expect(
            QuerySelector.all(in: query) == [
                .init(metric: "disagg_x_total", matched: ["c", "d"], grouped: ["a", "b"]),
                .init(metric: "disagg_y", matched: [], grouped: ["a", "b"]),
                .init(metric: "disagg_z", matched: [], grouped: ["a", "b"]),
            ])
    }

    @Test("every panel asks for metrics and labels that a running proxy has, and every metric of a request has a panel")
    func liveSystem() async throws {
        func settings(_ deployment: inout Deployment) {
            deployment.admission.chunks = 64
            for role in BackendRole.allCases { deployment.routing[role].policy = .pairCost }
        }
        try await withProxy(Topology(handoff: .lmcache).sized(2, 2), settings: settings) { harness in
            let load = SteadyLoad(harness, clients: 3)
            // The first engine reports and three streams of a decoder must have come for all numbers to be known.
            var page: [ScrapedSample] = []
            try await eventually {
                try await load.more(6)
                page = try ScrapedSample.page(try await harness.proxy.get("/metrics").body)
                return ["engine_running", "token_seconds", "prefill_tokens_per_second"].allSatisfy { name in
                    page.contains { $0.name == "disagg_backend_\(name)" }
                }
            }
            await load.expectNoFailure()
            let byName = Dictionary(grouping: page, by: \.name)
            var used: Set<String> = []
            let panels = try panels()
            #expect(panels.count > 20)
            for panel in panels {
                #expect(!panel.queries.isEmpty, "\(panel.title)")
                for query in panel.queries {
                    let selectors = QuerySelector.all(in: query)
                    #expect(!selectors.isEmpty, "\(panel.title): \(query)")
                    for selector in selectors {
                        used.insert(selector.metric)
                        let samples = byName[selector.metric] ?? []
                        #expect(!samples.isEmpty, "\(panel.title): no \(selector.metric)")
                        for label in Set(selector.matched + selector.grouped).subtracting(Self.added) {
                            #expect(
                                samples.contains { $0.labels[label] != nil },
                                "\(panel.title): \(selector.metric) has no label \(label)")
                        }
                    }
                }
            }
            // What nobody would look at on a dashboard, since it never changes or only matters to a log's reader.
            let unshown: Set<String> = ["disagg_build_info", "disagg_access_log_dropped_total"]
            for name in Set(page.map(\.name)).subtracting(unshown) {
                let base = ["_count", "_sum", "_bucket"].first { name.hasSuffix($0) }.map {
                    String(name.dropLast($0.count))
                }
                #expect(
                    used.contains { $0 == name || base != nil && $0.hasPrefix(base ?? "") }, "no panel shows \(name)")
            }
            for name in [
                "disagg_time_to_first_token_seconds_bucket", "disagg_time_per_output_token_seconds_bucket",
                "disagg_request_duration_seconds_bucket", "disagg_stage_seconds_bucket",
                "disagg_proxy_overhead_seconds_bucket", "disagg_requests_total", "disagg_kv_leases_leaked_total",
            ] {
                #expect(used.contains(name), "no panel shows \(name)")
                if !name.hasSuffix("leaked_total") {
                    #expect(byName[name]?.contains { $0.value > 0 } == true, "\(name) is 0 under load")
                }
            }
        }
    }
}
