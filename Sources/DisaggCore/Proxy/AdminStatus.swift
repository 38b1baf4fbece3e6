internal import NIOCore

/// The document behind the live page: everything at one moment.
enum AdminStatus {
    /// Most recent decisions that are shown.
    static let decisions = 50

    static func json(core: ProxyCore, reloader: Reloader) async -> [UInt8] {
        let backends = await core.controller.list()
        let metrics = (try? await core.metrics()) ?? ProxyMetrics()
        let recent = await core.recentRequests(Self.decisions)
        let reload = await reloader.last
        return JSONBuilder.object { json in
            json.member("version", DisaggVersion.current)
            json.member("handoff", core.shared.deployment.handoff.rawValue)
            json.member("time", UTCTime.text(milliseconds: UTCTime.now))
            json.member("uptime_seconds", Double((NIODeadline.now() - core.started).nanoseconds / 1_000_000) / 1000)
            json.object("requests") { requests(metrics, core, &$0) }
            json.object("latencies") { latencies(metrics, &$0) }
            json.array("backends") { list in for status in backends { list.object { status.write(to: &$0) } } }
            json.array("decisions") { list in for record in recent { list.object { decision(record, &$0) } } }
            json.object("reload") { reload.write(to: &$0) }
        }
    }

    private static func requests(_ metrics: ProxyMetrics, _ core: ProxyCore, _ json: inout JSONBuilder) {
        let finished = metrics.requests.values.reduce(0, +)
        let failed = metrics.requests.reduce(0) { $1.key.status >= 500 ? $0 + $1.value : $0 }
        json.member("in_flight", metrics.requestsInFlight)
        json.member("waiting", metrics.requestsWaiting)
        json.member("connections", metrics.connections)
        json.member("finished", finished)
        json.member("failed", failed)
        json.member("retries", metrics.retries)
        json.member("clients_gone", metrics.clientsGone)
        json.member("streams_broken", metrics.streamsBroken)
        json.member("kv_releases", metrics.releases)
        json.member("leases_leaked", metrics.leasesLeaked)
    }

    private static func latencies(_ metrics: ProxyMetrics, _ json: inout JSONBuilder) {
        var all = ProxyMetrics.Latencies()
        for latencies in metrics.latencies { all.add(latencies) }
        histogram("first_token", all.firstToken, &json)
        histogram("output_token", all.outputToken, &json)
        histogram("request", all.request, &json)
        for stage in ProxyMetrics.Stage.allCases { histogram(stage.label, metrics.stages[stage.rawValue], &json) }
        histogram("proxy", metrics.overhead, &json)
        histogram("loop_lag", metrics.loopLag, &json)
    }

    private static func histogram(_ name: String, _ histogram: MetricHistogram, _ json: inout JSONBuilder) {
        json.object(name) { json in
            json.array("bounds") { list in
                for bound in histogram.bounds.nanoseconds { list.element(Double(bound) / 1e9) }
            }
            json.array("counts") { list in for count in histogram.counts { list.element(count) } }
        }
    }

    private static func decision(_ record: RequestRecord, _ json: inout JSONBuilder) {
        json.member("time", UTCTime.text(milliseconds: record.endedAt))
        json.member("request_id", record.requestID)
        json.member("path", record.path)
        json.member("status", record.status)
        json.member("reason", record.reason)
        json.member("stream", record.isStream)
        json.member("prefill", record.prefill)
        json.member("decode", record.decode)
        json.member("retries", record.retries)
        json.member("bytes_out", record.bytesOut)
        for stage in record.stages { json.member("\(stage.name)_ms", Double(stage.nanoseconds / 1000) / 1000) }
    }
}
