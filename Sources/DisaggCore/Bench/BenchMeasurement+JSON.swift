internal import NIOCore

extension BenchMeasurement {
    /// The report for programs: one JSON object. Times are in milliseconds, what was not measured is `null`.
    package var json: String {
        var members = [
            ("target", JSONString.encode("\(settings.target)")),
            ("version", JSONString.encode(DisaggVersion.current)),
            ("settings", settingsJSON),
            ("duration_s", BenchFormat.fixed(seconds, 6)),
            (
                "requests",
                Self.object([
                    ("started", "\(tally.started)"), ("succeeded", "\(tally.succeeded)"), ("failed", "\(tally.failed)"),
                    ("cut_off", "\(tally.cutOff)"), ("retried", "\(tally.retries)"),
                    ("maximum_open", "\(tally.maximumOpen)"),
                ])
            ),
            ("errors", errorsJSON),
            ("requests_per_second", BenchFormat.fixed(requestsPerSecond, 4)),
            ("output_tokens_per_second", BenchFormat.fixed(outputTokensPerSecond, 4)),
            (
                "goodput_requests_per_second",
                settings.objectives.isEmpty ? "null" : BenchFormat.fixed(goodRequestsPerSecond, 4)
            ),
            ("total_tokens_per_second", BenchFormat.fixed(totalTokensPerSecond, 4)),
            ("peak_output_tokens_per_second", "\(tally.timeline.peakTokensPerSecond)"),
            ("output_tokens", "\(tally.outputTokens)"), ("prompt_tokens", "\(tally.promptTokens)"),
            ("wrong_prompts", "\(tally.wrongPrompts)"), ("counted_answers", "\(countedAnswers)"),
            ("bytes_sent", "\(tally.sentBytes)"), ("bytes_received", "\(tally.receivedBytes)"),
            ("connections", "\(tally.connections)"),
        ]
        members += latencies.map { ("\($0.name.lowercased())_ms", Self.distribution($0.histogram)) }
        members += [
            ("connect_ms", Self.distribution(tally.connect)), ("arrival_lag_ms", Self.distribution(tally.lag)),
            ("generator_cpu_share", BenchFormat.fixed(generatorCPUShare, 4)),
            ("generator_wait_share", generatorWaitShare.map { BenchFormat.fixed($0, 4) } ?? "null"),
            ("process", processJSON), ("timeline", timelineJSON),
        ]
        return Self.object(members) + "\n"
    }

    private var settingsJSON: String {
        func milliseconds(_ duration: Duration?) -> String {
            duration.map { BenchFormat.fixed(Double(TimeAmount($0).nanoseconds) / 1e6, 3) } ?? "null"
        }
        func number(_ value: Int?) -> String { value.map { "\($0)" } ?? "null" }
        return Self.object([
            ("model", JSONString.encode(model)), ("endpoint", JSONString.encode(settings.endpoint.rawValue)),
            ("concurrency", number(settings.concurrency)), ("rate", settings.rate.map { "\($0)" } ?? "null"),
            ("ramp_to", settings.rampTo.map { "\($0)" } ?? "null"),
            ("burstiness", settings.burstiness.isFinite ? "\(settings.burstiness)" : "null"),
            ("requests", number(settings.requests)), ("duration_ms", milliseconds(settings.duration)),
            ("dataset", JSONString.encode(settings.dataset.name)),
            ("prompt_form", JSONString.encode(promptForm.rawValue)), ("exact_prompts", "\(hasExactPrompts)"),
            ("range_ratio", "\(settings.rangeRatio)"), ("warmup", "\(settings.warmup)"), ("seed", "\(settings.seed)"),
            ("input_tokens", settings.promptBytes == nil ? "\(settings.inputTokens)" : "null"),
            ("prompt_bytes", number(settings.promptBytes)),
            ("shared_prefix_tokens", "\(settings.sharedPrefixTokens)"),
            ("output_tokens", "\(settings.outputTokens)"), ("ignore_eos", "\(settings.ignoresEnd)"),
            ("stream", "\(settings.isStream)"), ("keep_alive", "\(settings.keepsAlive)"),
            ("check", "\(settings.checks || settings.checksOrder)"), ("check_order", "\(settings.checksOrder)"),
            ("slo_ttft_ms", milliseconds(settings.objectives.ttft)),
            ("slo_tpot_ms", milliseconds(settings.objectives.tpot)),
            ("slo_e2e_ms", milliseconds(settings.objectives.e2e)),
        ])
    }

    private var errorsJSON: String {
        Self.object(
            tally.failures.keys.sorted().map { kind in
                (
                    kind.description,
                    Self.object([
                        ("count", "\(tally.failures[kind] ?? 0)"),
                        ("example", JSONString.encode(tally.examples[kind] ?? "")),
                    ])
                )
            })
    }

    private var processJSON: String {
        guard let process else { return "null" }
        func number(_ value: Double?, _ digits: Int) -> String { value.map { BenchFormat.fixed($0, digits) } ?? "null" }
        return Self.object([
            ("cpu_s", BenchFormat.fixed(process.cpuSeconds, 6)), ("user_s", BenchFormat.fixed(process.userSeconds, 2)),
            ("system_s", BenchFormat.fixed(process.systemSeconds, 2)),
            ("cpu_us_per_token", number(cpuMicrosecondsPerToken, 3)),
            ("cpu_us_per_request", number(cpuMicrosecondsPerRequest, 3)),
            ("peak_rss_kib", "\(process.peakRSSKiB)"),
            ("base_pss_kib", process.basePSSKiB.map { "\($0)" } ?? "null"),
            ("peak_pss_kib", process.peakPSSKiB.map { "\($0)" } ?? "null"),
            ("kib_per_open_request", number(process.kibibytesPerRequest, 3)),
        ])
    }

    private var timelineJSON: String {
        func mean(_ summary: BenchTimeline.Summary) -> String {
            summary.mean.map { BenchFormat.fixed($0 / 1e6, 3) } ?? "null"
        }
        let slices = tally.timeline.slices.map { slice in
            Self.object([
                ("started", "\(slice.started)"), ("finished", "\(slice.finished)"), ("failed", "\(slice.failed)"),
                ("tokens", "\(slice.tokens)"), ("open", "\(slice.open)"), ("ttft_ms", mean(slice.ttft)),
                ("itl_ms", mean(slice.itl)),
            ])
        }
        return Self.object([
            ("slice_s", BenchFormat.fixed(Double(tally.timeline.width) / 1e9, 3)),
            ("slices", "[\(slices.joined(separator: ", "))]"),
        ])
    }

    private static func distribution(_ histogram: LatencyHistogram) -> String {
        guard histogram.count > 0 else { return "null" }
        func value(_ nanoseconds: Double?) -> String { nanoseconds.map { BenchFormat.fixed($0 / 1e6, 6) } ?? "null" }
        var members = [("count", "\(histogram.count)"), ("mean", value(histogram.mean))]
        members.append(("min", value(Double(histogram.minimum))))
        for (name, percent) in [("p50", 50.0), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9)] {
            members.append((name, value(histogram.percentile(percent).map(Double.init))))
        }
        members.append(("max", value(Double(histogram.maximum))))
        return object(members)
    }

    private static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(JSONString.encode($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
    }
}
