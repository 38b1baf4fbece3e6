internal import NIOCore

extension ProxyMetrics {
    /// The metrics of the backends; each has the labels `backend` and `role`.
    static func backends(_ states: [BackendState], at now: NIODeadline) -> [MetricFamily] {
        func family(
            _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: (BackendState) -> MetricFamily.Value?
        ) -> MetricFamily {
            var family = MetricFamily(name, kind, help)
            for state in states {
                guard let value = value(state) else { continue }
                family.add(value, [("backend", state.backend.id), ("role", state.backend.role.rawValue)])
            }
            return family
        }
        func whole(
            _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: (BackendState) -> Int?
        ) -> MetricFamily { family(name, kind, help) { value($0).map { .integer($0) } } }
        // An old number is none: nobody trusts it, so nobody is shown it.
        func fresh(_ state: BackendState) -> EngineLoad? {
            state.meter.lastLoad.flatMap { $0.isFresh(at: now.uptimeNanoseconds) ? $0 : nil }
        }
        return [
            whole("disagg_backend_up", .gauge, "Whether a backend is thought to be up.") {
                $0.downCause == nil ? 1 : 0
            },
            whole("disagg_backend_draining", .gauge, "Whether a backend takes no new requests by somebody's wish.") {
                $0.isDraining ? 1 : 0
            },
            whole("disagg_backend_breaker_state", .gauge, "Circuit breaker: 0 closed, 1 half-open, 2 open.") {
                breaker($0.breakerState(at: now))
            },
            family("disagg_backend_weight", .gauge, "A backend's share of the requests, 0 to 1.") {
                .decimal($0.meter.weight(at: now.uptimeNanoseconds))
            },
            whole("disagg_backend_in_flight", .gauge, "Requests open at a backend.") { $0.inFlight },
            whole("disagg_backend_queued_tokens", .gauge, "Prompt tokens of the requests open at a backend.") {
                $0.meter.queuedTokens
            },
            whole("disagg_backend_open_handoffs", .gauge, "Hand-offs of a backend whose KV no decode has taken yet.") {
                $0.openHandoffs
            },
            whole("disagg_backend_picks_total", .counter, "Requests sent to a backend.") { $0.picked },
            whole("disagg_backend_failures_total", .counter, "Exchanges with a backend that failed.") { $0.failed },
            whole("disagg_backend_overloads_total", .counter, "Answers that said a backend has too much to do.") {
                $0.overloaded
            },
            family(
                "disagg_backend_first_token_seconds", .gauge,
                "Moving average of the time from a leg's dispatch to its first token."
            ) { $0.meter.timeToFirstToken.map { .decimal($0) } },
            family(
                "disagg_backend_token_seconds", .gauge, "Moving average of the time between the tokens of a stream."
            ) { $0.meter.timePerToken.map { .decimal($0.seconds) } },
            family(
                "disagg_backend_prefill_tokens_per_second", .gauge,
                "Prompt tokens that a backend computes in a second of being busy."
            ) { $0.meter.tokensPerSecond.map { .decimal($0) } },
            whole("disagg_backend_restarts_total", .counter, "Times a backend came back as another process.") {
                $0.restarts
            },
            whole("disagg_backend_needs_restart", .gauge, "Whether a decoder that it was connected to was restarted.") {
                $0.needsRestart ? 1 : 0
            },
            whole("disagg_backend_kv_chunks_used", .gauge, "KV chunks reserved at a decoder.") {
                $0.meter.budget.capacity == nil ? nil : $0.meter.budget.used
            },
            whole("disagg_backend_kv_chunks_capacity", .gauge, "KV chunks that a decoder has room for.") {
                $0.meter.budget.capacity
            },
            whole("disagg_backend_engine_running", .gauge, "Requests that an engine says it computes.") {
                fresh($0)?.running
            },
            whole("disagg_backend_engine_waiting", .gauge, "Requests that an engine says wait in it.") {
                fresh($0)?.waiting
            },
            family("disagg_backend_engine_kv_usage", .gauge, "Part of its KV cache that an engine says is in use.") {
                fresh($0)?.cacheUsage.map { .decimal($0) }
            },
            family("disagg_backend_engine_age_seconds", .gauge, "How old the numbers are that an engine told last.") {
                $0.meter.lastLoad.map { .decimal($0.age(at: now.uptimeNanoseconds)) }
            },
        ]
    }

    private static func breaker(_ state: String) -> Int {
        switch state {
        case "closed": 0
        case "half-open": 1
        default: 2
        }
    }
}
