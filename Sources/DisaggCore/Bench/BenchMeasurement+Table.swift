/// The layout of `vllm bench serve`.
extension BenchMeasurement {
    private static let width = 50

    var servingTable: [String] {
        var lines = [Self.rule(" Serving Benchmark Result ", "=")]
        lines += [
            Self.row("Successful requests:", "\(tally.succeeded)"), Self.row("Failed requests:", "\(tally.failed)"),
        ]
        if let concurrency = settings.concurrency {
            lines.append(Self.row("Maximum request concurrency:", "\(concurrency)"))
        }
        if let rate = settings.rate {
            lines.append(Self.row("Request rate configured (RPS):", BenchFormat.fixed(rate, 2)))
        }
        lines += [
            Self.row("Benchmark duration (s):", BenchFormat.fixed(seconds, 2)),
            Self.row("Total input tokens:", tally.promptTokens > 0 ? "\(tally.promptTokens)" : "-"),
            Self.row("Total generated tokens:", "\(tally.outputTokens)"),
            Self.row("Request throughput (req/s):", BenchFormat.fixed(requestsPerSecond, 2)),
        ]
        if !settings.objectives.isEmpty {
            lines.append(Self.row("Request goodput (req/s):", BenchFormat.fixed(goodRequestsPerSecond, 2)))
        }
        lines += [
            Self.row("Output token throughput (tok/s):", BenchFormat.fixed(outputTokensPerSecond, 2)),
            Self.row("Peak output token throughput (tok/s):", "\(tally.timeline.peakTokensPerSecond)"),
            Self.row("Peak concurrent requests:", "\(tally.maximumOpen)"),
            Self.row("Total token throughput (tok/s):", BenchFormat.fixed(totalTokensPerSecond, 2)),
        ]
        let sections = [
            ("Time to First Token", "TTFT", tally.ttft),
            ("Time per Output Token (excl. 1st token)", "TPOT", tally.tpot),
            ("Inter-token Latency", "ITL", tally.itl), ("End-to-end Latency", "E2EL", tally.e2e),
        ]
        for (title, name, histogram) in sections where histogram.count > 0 {
            lines.append(Self.rule(title, "-"))
            func add(_ label: String, _ nanoseconds: Double?) {
                lines.append(
                    Self.row("\(label) \(name) (ms):", nanoseconds.map { BenchFormat.fixed($0 / 1e6, 2) } ?? "-"))
            }
            add("Mean", histogram.mean)
            for (label, percent) in [("Median", 50.0), ("P90", 90), ("P95", 95), ("P99", 99)] {
                add(label, histogram.percentile(percent).map(Double.init))
            }
            add("Max", Double(histogram.maximum))
        }
        return lines + [String(repeating: "=", count: Self.width)]
    }

    private static func row(_ name: String, _ value: String) -> String { BenchFormat.left(name, 40) + " " + value }

    /// A line with a title in the middle.
    private static func rule(_ title: String, _ mark: Character) -> String {
        let room = max(0, width - title.count)
        return String(repeating: mark, count: room / 2) + title + String(repeating: mark, count: room - room / 2)
    }
}
