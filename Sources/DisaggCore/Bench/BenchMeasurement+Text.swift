extension BenchMeasurement {
    /// The report for people.
    package var text: String {
        var lines = [headline, ""]
        let tally = tally
        var requests = "\(tally.succeeded) ok, \(tally.failed) failed"
        if tally.cutOff > 0 { requests += ", \(tally.cutOff) cut off" }
        requests += " in \(BenchFormat.fixed(seconds, 2)) s"
        lines.append(row("requests", requests, "\(BenchFormat.fixed(requestsPerSecond, 2)) requests/s"))
        var tokens = "\(tally.outputTokens) out"
        if tally.promptTokens > 0 { tokens += ", \(tally.promptTokens) in" }
        lines.append(row("tokens", tokens, "\(BenchFormat.fixed(outputTokensPerSecond, 1)) output tokens/s"))
        if !settings.objectives.isEmpty {
            lines.append(
                row(
                    "goodput", "\(tally.good) within the objectives",
                    "\(BenchFormat.fixed(goodRequestsPerSecond, 2)) requests/s"))
        }
        lines.append(
            row(
                "bytes",
                "\(BenchFormat.bytes(tally.sentBytes)) sent, \(BenchFormat.bytes(tally.receivedBytes)) received",
                "\(tally.connections) connections, \(tally.maximumOpen) requests at once at most"))
        if tally.e2e.count > 0 {
            lines += ["", BenchFormat.left("ms", 6) + columns(["mean", "p50", "p90", "p99", "max"])]
        }
        for (name, histogram) in latencies where histogram.count > 0 {
            lines.append(BenchFormat.left(name, 6) + columns(Self.values(histogram)))
        }
        lines += processLines
        lines += errorLines
        lines += notes
        return lines.joined(separator: "\n") + "\n"
    }

    /// The distributions by the field's names.
    var latencies: [(name: String, histogram: LatencyHistogram)] {
        [("TTFT", tally.ttft), ("TPOT", tally.tpot), ("ITL", tally.itl), ("E2E", tally.e2e)]
    }

    private var headline: String {
        var parts = ["\(settings.target)", settings.endpoint.rawValue, model]
        if let rate = settings.rate {
            parts.append("\(rate) requests/s" + (settings.burstiness == 1 ? "" : ", burstiness \(settings.burstiness)"))
        }
        if let concurrency = settings.concurrency { parts.append("\(concurrency) at once") }
        parts.append(settings.promptBytes.map { "\($0) bytes in" } ?? "about \(settings.inputTokens) tokens in")
        parts.append("\(settings.outputTokens) out")
        if !settings.isStream { parts.append("no stream") }
        return parts.joined(separator: " | ")
    }

    private var processLines: [String] {
        guard let process else { return [] }
        var cpu = "CPU \(BenchFormat.fixed(process.cpuSeconds, 2)) s"
        cpu +=
            " (user \(BenchFormat.fixed(process.userSeconds, 2)), system \(BenchFormat.fixed(process.systemSeconds, 2)))"
        var perUnit: [String] = []
        if let value = cpuMicrosecondsPerToken { perUnit.append("\(BenchFormat.fixed(value, 2)) us a token") }
        if let value = cpuMicrosecondsPerRequest { perUnit.append("\(BenchFormat.fixed(value, 1)) us a request") }
        var memory = "RSS \(BenchFormat.bytes(process.peakRSSKiB << 10)) at most"
        if let base = process.basePSSKiB, let peak = process.peakPSSKiB {
            memory += ", PSS \(BenchFormat.bytes(base << 10)) before, \(BenchFormat.bytes(peak << 10)) at most"
        }
        var each = ""
        if let kibibytes = process.kibibytesPerRequest {
            each = "\(BenchFormat.fixed(kibibytes, 2)) KiB an open request"
        }
        return ["", row("process", cpu, perUnit.joined(separator: ", ")), row("memory", memory, each)]
    }

    private var errorLines: [String] {
        guard !tally.failures.isEmpty else { return [] }
        return [""]
            + tally.failures.keys.sorted().map { kind in
                "error     \(tally.failures[kind] ?? 0) x \(kind): \(tally.examples[kind] ?? "")"
            }
    }

    /// What makes the numbers mean something else than they seem to.
    private var notes: [String] {
        var notes: [String] = []
        if generatorCPUShare > 0.85, tally.succeeded > 0 {
            notes.append(
                "the load generator used \(BenchFormat.fixed(generatorCPUShare * 100, 0)) % of a core: it, not the server, "
                    + "may have been the limit")
        }
        if let share = generatorWaitShare, share > 0.15, tally.succeeded > 0 {
            notes.append(
                "the load generator waited \(BenchFormat.fixed(share * 100, 0)) % of the time for a CPU: others on this "
                    + "machine are in the latencies")
        }
        if let lag = tally.lag.percentile(99), lag > 50_000_000 {
            notes.append(
                "arrivals were sent up to \(BenchFormat.milliseconds(Double(lag))) ms late (p99): --concurrency or this "
                    + "machine held them back")
        }
        if tally.succeeded > 0, settings.ignoresEnd, tally.outputTokens < tally.succeeded * settings.outputTokens {
            notes.append(
                "answers had \(BenchFormat.fixed(Double(tally.outputTokens) / Double(tally.succeeded), 1)) tokens on "
                    + "average, \(settings.outputTokens) were asked for")
        }
        return notes.isEmpty ? [] : [""] + notes.map { "note      \($0)" }
    }

    private func row(_ name: String, _ first: String, _ second: String) -> String {
        let line = "\(BenchFormat.left(name, 10))\(BenchFormat.left(first, 44)) \(second)"
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private func columns(_ texts: [String]) -> String { texts.map { BenchFormat.right($0, 11) }.joined() }

    private static func values(_ histogram: LatencyHistogram) -> [String] {
        [
            histogram.mean, histogram.percentile(50).map(Double.init), histogram.percentile(90).map(Double.init),
            histogram.percentile(99).map(Double.init), Double(histogram.maximum),
        ].map(BenchFormat.milliseconds)
    }
}
