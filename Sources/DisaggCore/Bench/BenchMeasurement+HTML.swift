/// The report as one HTML file: plots are inline SVG, nothing is loaded from anywhere.
extension BenchMeasurement {
    /// The page.
    ///
    /// - Parameter date: when the run was made, as text.
    package func html(date: String) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Benchmark of \(HTMLText.escaped("\(settings.target)"))</title>
        <style>\(Self.style)</style></head><body>
        <h1>Benchmark of \(HTMLText.escaped("\(settings.target)"))</h1>
        <p class="about">\(HTMLText.escaped(headline.split(separator: " | ").dropFirst().joined(separator: " · ")))<br>
        \(HTMLText.escaped(date)), seed \(settings.seed), disagg \(HTMLText.escaped(DisaggVersion.current))</p>
        <div class="tiles">\(tiles)</div>
        \(warningList)
        <div class="plots">
        \(plots.map(\.html).joined(separator: "\n"))
        </div>
        <h2>Latencies, ms</h2>
        \(HTMLText.table(latencyRows))
        <h2>Requests</h2>
        \(HTMLText.table(countRows))
        </body></html>

        """
    }

    private var tiles: String {
        func p(_ histogram: LatencyHistogram, _ percent: Double) -> String {
            BenchFormat.milliseconds(histogram.percentile(percent).map(Double.init))
        }
        var tiles = [
            ("Requests", "\(tally.succeeded)", tally.failed > 0 ? "\(tally.failed) failed" : "none failed"),
            ("Output", BenchFormat.fixed(outputTokensPerSecond, 1), "tokens/s"),
            ("Rate", BenchFormat.fixed(requestsPerSecond, 2), "requests/s"),
        ]
        if tally.ttft.count > 0 { tiles.append(("TTFT", p(tally.ttft, 50), "ms median, p99 \(p(tally.ttft, 99))")) }
        if tally.itl.count > 0 { tiles.append(("ITL", p(tally.itl, 50), "ms median, p99 \(p(tally.itl, 99))")) }
        if !settings.objectives.isEmpty {
            tiles.append(("Goodput", BenchFormat.fixed(goodRequestsPerSecond, 2), "requests/s"))
        }
        return tiles.map { "<div><i>\($0.0)</i><b>\($0.1)</b><span>\($0.2)</span></div>" }.joined()
    }

    private var warningList: String {
        let errors = tally.failures.keys.sorted().map { kind in
            "\(tally.failures[kind] ?? 0) × \(kind): \(tally.examples[kind] ?? "")"
        }
        let all = warnings + errors
        guard !all.isEmpty else { return "" }
        return "<ul class=\"notes\">\(all.map { "<li>\(HTMLText.escaped($0))</li>" }.joined())</ul>"
    }

    private var plots: [SVGPlot] {
        let timeline = tally.timeline.condensed(to: 60)
        let width = Double(timeline.width) / 1e9
        func over(_ value: (BenchTimeline.Slice) -> Double?) -> [(x: Double, y: Double?)] {
            timeline.slices.enumerated().map { ((Double($0.offset) + 0.5) * width, value($0.element)) }
        }
        func latency(_ title: String, _ summary: @escaping (BenchTimeline.Slice) -> BenchTimeline.Summary) -> SVGPlot {
            SVGPlot(
                title: title, unit: "ms", xUnit: "s since the first request",
                series: [
                    .init(
                        name: "maximum", style: "b",
                        points: over { summary($0).count > 0 ? Double(summary($0).maximum) / 1e6 : nil }),
                    .init(name: "mean", style: "a", points: over { summary($0).mean.map { $0 / 1e6 } }),
                ])
        }
        var requests: [SVGPlot.Series] = [
            .init(name: "under way", style: "a", points: over { Double($0.open) }),
            .init(name: "answered/s", style: "b", points: over { Double($0.finished) / width }),
        ]
        if tally.failed > 0 {
            requests.append(.init(name: "failed/s", style: "c", points: over { Double($0.failed) / width }))
        }
        var plots = [
            latency("Time to first token", \.ttft), latency("Inter-token latency", \.itl),
            SVGPlot(
                title: "Output throughput", unit: "tokens/s", xUnit: "s since the first request",
                series: [.init(name: "tokens", style: "a", points: over { Double($0.tokens) / width })]),
            SVGPlot(
                title: "Requests", unit: "at once, and a second", xUnit: "s since the first request",
                series: requests),
        ]
        let percents = (0...100).map(Double.init) + [99.5, 99.9]
        for (title, histogram) in [("TTFT by percentile", tally.ttft), ("ITL by percentile", tally.itl)]
        where histogram.count > 1 {
            plots.append(
                SVGPlot(
                    title: title, unit: "ms", xUnit: "percentile",
                    series: [
                        .init(
                            name: "", style: "a",
                            points: percents.sorted().map { percent in
                                (percent, histogram.percentile(percent).map { Double($0) / 1e6 })
                            })
                    ]))
        }
        return plots
    }

    private var latencyRows: [[String]] {
        [["", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]]
            + latencies.filter { $0.histogram.count > 0 }.map { name, histogram in
                [name, BenchFormat.milliseconds(histogram.mean)]
                    + [50, 90, 95, 99, 99.9].map {
                        BenchFormat.milliseconds(histogram.percentile($0).map(Double.init))
                    } + [BenchFormat.milliseconds(Double(histogram.maximum))]
            }
    }

    private var countRows: [[String]] {
        var rows = [
            ["", "value"], ["answered", "\(tally.succeeded)"], ["failed", "\(tally.failed)"],
            ["cut off at the end", "\(tally.cutOff)"], ["duration, s", BenchFormat.fixed(seconds, 2)],
            ["input tokens", tally.promptTokens > 0 ? "\(tally.promptTokens)" : "not told"],
            ["output tokens", "\(tally.outputTokens)"],
            ["total tokens/s", BenchFormat.fixed(totalTokensPerSecond, 1)],
            ["peak output tokens/s", "\(tally.timeline.peakTokensPerSecond)"],
            ["at once, at most", "\(tally.maximumOpen)"], ["connections", "\(tally.connections)"],
        ]
        if let process {
            rows.append(["CPU of the processes under test, s", BenchFormat.fixed(process.cpuSeconds, 2)])
            if let value = cpuMicrosecondsPerToken { rows.append(["CPU µs a token", BenchFormat.fixed(value, 2)]) }
        }
        return rows
    }

    private static let style = """
        :root{--ink:#1c2733;--dim:#5d6b7a;--paper:#fff;--card:#f5f7f9;--rule:#dde3e9;--a:#1664c0;--b:#e08a2c;--c:#c62f3d}
        @media(prefers-color-scheme:dark){:root{--ink:#e5eaf0;--dim:#93a1b0;--paper:#12181f;--card:#1b232c;--rule:#2d3843;--a:#62a8ff;--b:#f2ad5c;--c:#ff7b86}}
        *{box-sizing:border-box}body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1200px;margin:0 auto;padding:20px 16px 48px}
        h1{font-size:1.45rem;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:28px 0 8px}
        .about{color:var(--dim);margin:0 0 16px;overflow-wrap:anywhere}
        .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px}
        .tiles div{background:var(--card);border-radius:8px;padding:10px 12px}.tiles i{font-style:normal;color:var(--dim);font-size:.85rem}
        .tiles b{display:block;font-size:1.5rem;line-height:1.25;font-variant-numeric:tabular-nums}.tiles span{color:var(--dim);font-size:.85rem}
        .notes{background:var(--card);border-left:3px solid var(--b);margin:16px 0 0;padding:8px 12px 8px 28px;overflow-wrap:anywhere}
        .plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:16px;margin-top:18px}
        figure{margin:0;background:var(--card);border-radius:8px;padding:10px 12px}figcaption .unit{color:var(--dim)}
        svg{width:100%;height:auto;display:block;margin-top:4px}text{font-size:11.5px;fill:var(--dim)}
        .grid{stroke:var(--rule)}.axis{stroke:var(--dim)}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
        .line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}
        .key{float:right;margin-left:12px;font-size:.85rem}.key.a{color:var(--a)}.key.b{color:var(--b)}.key.c{color:var(--c)}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
        th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}th:first-child{text-align:left;font-weight:400}tr:first-child th{color:var(--dim);font-weight:400}
        """
}
