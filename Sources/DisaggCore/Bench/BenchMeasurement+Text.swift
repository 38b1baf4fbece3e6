extension BenchMeasurement {
    /// The report for people: the table that `vllm bench serve` prints, so that two can be laid side by side, and below it
    /// what only this program knows.
    package var text: String {
        let lines = [headline, ""] + servingTable + [""] + requestLines + processLines + errorLines + notes
        return lines.joined(separator: "\n") + "\n"
    }

    /// The distributions by the field's names.
    var latencies: [(name: String, histogram: LatencyHistogram)] {
        [("TTFT", tally.ttft), ("TPOT", tally.tpot), ("ITL", tally.itl), ("E2E", tally.e2e)]
    }

    /// What was sent where, in one line.
    var headline: String {
        var parts = ["\(settings.target)", settings.endpoint.rawValue, model]
        if let rate = settings.rate {
            let end = settings.rampTo.map { " to \($0)" } ?? ""
            parts.append(
                "\(rate)\(end) requests/s" + (settings.burstiness == 1 ? "" : ", burstiness \(settings.burstiness)"))
        }
        if settings.followsTrace {
            parts.append(
                "arrivals of the trace" + (settings.traceSpeed == 1 ? "" : ", \(settings.traceSpeed) times as fast"))
        }
        if let concurrency = settings.concurrency { parts.append("\(concurrency) at once") }
        if settings.dataset.kind == .random {
            let around = settings.rangeRatio > 0 ? " ± \(BenchFormat.fixed(settings.rangeRatio * 100, 0)) %" : ""
            let about = hasExactPrompts ? "" : "about "
            parts.append(
                settings.promptBytes.map { "\($0)\(around) bytes in" }
                    ?? "\(about)\(settings.inputTokens)\(around) tokens in")
            parts.append("\(settings.outputTokens)\(around) out")
        } else {
            parts.append(settings.dataset.name)
        }
        if !settings.isStream { parts.append("no stream") }
        return parts.joined(separator: " | ")
    }

    private var requestLines: [String] {
        var lines: [String] = []
        if tally.cutOff > 0 { lines.append(row("cut off", "\(tally.cutOff) requests were under way at the end", "")) }
        lines.append(
            row(
                "bytes",
                "\(BenchFormat.bytes(tally.sentBytes)) sent, \(BenchFormat.bytes(tally.receivedBytes)) received",
                "\(tally.connections) connections"))
        return lines
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
        return [row("process", cpu, perUnit.joined(separator: ", ")), row("memory", memory, each)]
    }

    private var errorLines: [String] {
        guard !tally.failures.isEmpty else { return [] }
        return [""]
            + tally.failures.keys.sorted().map { kind in
                "error     \(tally.failures[kind] ?? 0) x \(kind): \(tally.examples[kind] ?? "")"
            }
    }

    /// What makes the numbers mean something else than they seem to.
    var warnings: [String] {
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
        if tally.succeeded > 0, settings.ignoresEnd, tally.outputTokens < tally.wantedTokens {
            let count = Double(tally.succeeded)
            notes.append(
                "answers had \(BenchFormat.fixed(Double(tally.outputTokens) / count, 1)) tokens on average, "
                    + "\(BenchFormat.fixed(Double(tally.wantedTokens) / count, 1)) were asked for")
        }
        if tally.wrongPrompts > 0 {
            let count = Double(tally.succeeded)
            notes.append(
                "\(tally.wrongPrompts) prompts have another length by the server's count: "
                    + "\(BenchFormat.fixed(Double(tally.promptTokens) / count, 1)) tokens on average, "
                    + "\(BenchFormat.fixed(Double(tally.wantedPromptTokens) / count, 1)) were meant")
        }
        if hasEstimatedAnswers {
            notes.append(
                "answers' lengths are estimated from the file's text, four bytes a token"
                    + (countedAnswers > 0
                        ? ", but for \(countedAnswers)" : ": the server was not asked, or has no /tokenize"))
        }
        return notes
    }

    private var notes: [String] { warnings.isEmpty ? [] : [""] + warnings.map { "note      \($0)" } }

    private func row(_ name: String, _ first: String, _ second: String) -> String {
        let line = "\(BenchFormat.left(name, 10))\(BenchFormat.left(first, 44)) \(second)"
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}
