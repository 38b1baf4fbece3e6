package import NIOCore

extension ProxyMetrics {
    /// All of the proxy's metrics with their names.
    ///
    /// - Parameters:
    ///   - pool: the backends, whose numbers all loops share.
    ///   - handoff: the hand-off protocol.
    ///   - now: the moment, for what changes by time alone.
    package func families(pool: BackendPool, handoff: HandoffKind, at now: NIODeadline) -> [MetricFamily] {
        [buildInfo(handoff), requestCounts(handoff)] + histograms() + counters() + gauges()
            + Self.backends(pool.snapshot.all, at: now)
    }

    private func buildInfo(_ handoff: HandoffKind) -> MetricFamily {
        var family = MetricFamily("disagg_build_info", .gauge, "The proxy's version and its hand-off.")
        family.add(1, [("version", DisaggVersion.current), ("handoff", handoff.rawValue)])
        return family
    }

    private func requestCounts(_ handoff: HandoffKind) -> MetricFamily {
        var family = MetricFamily("disagg_requests_total", .counter, "Finished requests.")
        let ordered = requests.sorted {
            ($0.key.endpoint, $0.key.status, $0.key.reason, $0.key.retries, $0.key.failed.rawValue)
                < ($1.key.endpoint, $1.key.status, $1.key.reason, $1.key.retries, $1.key.failed.rawValue)
        }
        let disaggregated = HandoffReason.disaggregated.rawValue
        for (key, count) in ordered {
            family.add(
                count,
                [
                    ("endpoint", key.endpoint), ("code", "\(key.status)"), ("protocol", handoff.rawValue),
                    ("disaggregated", key.reason == disaggregated ? "true" : "false"), ("reason", key.reason),
                    ("retries", key.retries < RequestKey.mostRetries ? "\(key.retries)" : "\(key.retries)+"),
                    ("failed", key.failed.label),
                ])
        }
        return family
    }

    private func histograms() -> [MetricFamily] {
        var stage = MetricFamily(
            "disagg_stage_seconds", .histogram, "Time of each stage of a request, from its arrival to its first token.")
        for kind in Stage.allCases { stage.add(stages[kind.rawValue], [("stage", kind.label)]) }
        var first = MetricFamily(
            "disagg_time_to_first_token_seconds", .histogram,
            "From a request to the first byte of its answer, by who answered: a pair of engines or a decode engine alone."
        )
        var each = MetricFamily(
            "disagg_time_per_output_token_seconds", .histogram,
            "Mean time between the events of a stream after the first; engines send one event a token.")
        var whole = MetricFamily(
            "disagg_request_duration_seconds", .histogram, "From a request to the end of its answer.")
        for path in Path.allCases {
            let labels = [("path", "\(path)")]
            first.add(latencies[path.rawValue].firstToken, labels)
            each.add(latencies[path.rawValue].outputToken, labels)
            whole.add(latencies[path.rawValue].request, labels)
        }
        var own = MetricFamily(
            "disagg_proxy_overhead_seconds", .histogram,
            "The proxy's own part of the time to the first token: all but its waits for engines and for a turn.")
        own.add(overhead)
        var lag = MetricFamily(
            "disagg_event_loop_lag_seconds", .histogram,
            "How late the event loops run their timers, ten times a second.")
        lag.add(loopLag)
        return [first, each, whole, stage, own, lag]
    }

    private func counters() -> [MetricFamily] {
        var endings = MetricFamily(
            "disagg_kv_endings_total", .counter, "What became of the KV of attempts whose prefill was sent.")
        for ending in ReleaseReason.allCases { endings.add(kvEndings[ending], [("ending", ending.rawValue)]) }
        func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
            MetricFamily(name, .counter, help, value)
        }
        return [
            counter("disagg_retries_total", "Legs or pairs tried again.", retries),
            counter(
                "disagg_request_parts_total", "Hand-offs that requests for several prompts or choices were split into.",
                requestParts),
            counter(
                "disagg_clients_gone_total", "Clients that left before their answer was complete.", clientsGone),
            counter("disagg_streams_broken_total", "Streams ended with an error event.", streamsBroken),
            counter(
                "disagg_streams_resumed_total", "Broken streams that another decoder went on with.", streamsResumed),
            endings,
            counter("disagg_kv_releases_total", "Requests sent to free KV that nobody would use.", releases),
            counter("disagg_kv_release_failures_total", "Requests to free KV that failed.", releasesFailed),
            counter(
                "disagg_kv_leases_leaked_total", "Hand-offs whose KV was neither used nor freed; engines free it late.",
                leasesLeaked),
            counter(
                "disagg_notifications_timed_out_total", "Waits for notifications that ended at their deadline.",
                notificationsTimedOut),
            counter(
                "disagg_notifications_late_total", "Notifications that came after their deadline.", notificationsLate),
            counter(
                "disagg_notifications_unknown_total", "Notifications of no request under way.", notificationsUnknown),
            counter(
                "disagg_access_log_dropped_total", "Lines of the access log that were not written for want of speed.",
                accessLinesDropped),
        ]
    }

    private func gauges() -> [MetricFamily] {
        [
            MetricFamily("disagg_requests_in_flight", .gauge, "Generation requests under way.", requestsInFlight),
            MetricFamily(
                "disagg_requests_waiting", .gauge, "Generation requests that wait for their turn.", requestsWaiting),
            MetricFamily("disagg_client_connections", .gauge, "Open client connections.", connections),
        ]
    }
}
