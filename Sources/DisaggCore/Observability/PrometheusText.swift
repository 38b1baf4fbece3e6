/// Renders metrics in the Prometheus text format 0.0.4.
package struct PrometheusText: Sendable {
    private var lines: [String] = []

    package init() {}

    /// The text so far.
    package var text: String { lines.joined(separator: "\n") + "\n" }

    /// Begins a metric family.
    package mutating func family(_ name: String, _ type: String, _ help: String) {
        lines.append("# HELP \(name) \(help)")
        lines.append("# TYPE \(name) \(type)")
    }

    /// Adds a sample.
    package mutating func sample(
        _ name: String, _ labels: [(String, String)] = [], _ value: some CustomStringConvertible
    ) {
        guard !labels.isEmpty else { return lines.append("\(name) \(value)") }
        let rendered = labels.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
        lines.append("\(name){\(rendered)} \(value)")
    }

    /// Adds the samples of a histogram.
    package mutating func histogram(_ name: String, _ labels: [(String, String)], _ histogram: ProxyMetrics.Histogram) {
        var running = 0
        for (index, bound) in ProxyMetrics.Histogram.bounds.enumerated() {
            running += histogram.counts[index]
            sample(name + "_bucket", labels + [("le", "\(bound)")], running)
        }
        sample(name + "_bucket", labels + [("le", "+Inf")], histogram.count)
        sample(name + "_sum", labels, Double(histogram.nanoseconds) / 1e9)
        sample(name + "_count", labels, histogram.count)
    }

    private static func escape(_ value: String) -> String {
        value.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
    }

    /// The proxy's whole page.
    package static func page(_ metrics: ProxyMetrics, pool: BackendPool, handoff: HandoffKind) -> String {
        var page = PrometheusText()
        page.family("disagg_build_info", "gauge", "The proxy's version.")
        page.sample("disagg_build_info", [("version", DisaggVersion.current), ("handoff", handoff.rawValue)], 1)
        page.family("disagg_requests_total", "counter", "Finished generation requests.")
        let ordered = metrics.requests.sorted {
            ($0.key.endpoint, $0.key.status, $0.key.reason.rawValue) < (
                $1.key.endpoint, $1.key.status, $1.key.reason.rawValue
            )
        }
        for (key, count) in ordered {
            page.sample(
                "disagg_requests_total",
                [("endpoint", key.endpoint), ("code", "\(key.status)"), ("reason", key.reason.rawValue)], count)
        }
        page.family("disagg_stage_seconds", "histogram", "Time of each stage of a generation request.")
        for stage in ProxyMetrics.Stage.allCases {
            page.histogram("disagg_stage_seconds", [("stage", stage.label)], metrics.stages[stage.rawValue])
        }
        let counters: [(String, String, Int)] = [
            ("disagg_retries_total", "Legs or pairs tried again.", metrics.retries),
            ("disagg_clients_gone_total", "Clients that left before their answer was complete.", metrics.clientsGone),
            ("disagg_streams_broken_total", "Streams ended with an error event.", metrics.streamsBroken),
            (
                "disagg_streams_resumed_total", "Broken streams that another decoder went on with.",
                metrics.streamsResumed
            ),
            ("disagg_kv_releases_total", "Requests sent to free KV that nobody would use.", metrics.releases),
            ("disagg_kv_release_failures_total", "Such requests that failed.", metrics.releasesFailed),
            (
                "disagg_notifications_timed_out_total", "Waits for notifications that ended at their deadline.",
                metrics.notificationsTimedOut
            ),
            (
                "disagg_notifications_late_total", "Notifications that came after their deadline.",
                metrics.notificationsLate
            ),
            (
                "disagg_notifications_unknown_total", "Notifications of no request under way.",
                metrics.notificationsUnknown
            ),
        ]
        for (name, help, value) in counters {
            page.family(name, "counter", help)
            page.sample(name, [], value)
        }
        page.family("disagg_kv_endings_total", "counter", "What became of the KV of attempts whose prefill was sent.")
        for ending in ReleaseReason.allCases {
            page.sample("disagg_kv_endings_total", [("ending", ending.rawValue)], metrics.kvEndings[ending] ?? 0)
        }
        page.family("disagg_requests_in_flight", "gauge", "Generation requests under way.")
        page.sample("disagg_requests_in_flight", [], metrics.requestsInFlight)
        page.family("disagg_client_connections", "gauge", "Open client connections.")
        page.sample("disagg_client_connections", [], metrics.connections)
        let backends = pool.prefill + pool.decode
        page.family("disagg_backend_in_flight", "gauge", "Requests open at a backend.")
        for state in backends { page.sample("disagg_backend_in_flight", labels(state), state.inFlight) }
        page.family("disagg_backend_picks_total", "counter", "Requests sent to a backend.")
        for state in backends { page.sample("disagg_backend_picks_total", labels(state), state.picked) }
        page.family("disagg_backend_failures_total", "counter", "Exchanges with a backend that failed.")
        for state in backends { page.sample("disagg_backend_failures_total", labels(state), state.failed) }
        return page.text
    }

    private static func labels(_ state: BackendState) -> [(String, String)] {
        [("backend", state.backend.id), ("role", state.backend.role.rawValue)]
    }
}
