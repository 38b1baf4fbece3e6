/// The runs of a search for the highest goodput.
package struct GoodputSweep: Sendable {
    /// One run.
    package struct Run: Sendable {
        package var rate: Double
        package var measurement: BenchMeasurement

        /// One line.
        package var summary: String {
            "\(BenchFormat.fixed(rate, 2)) requests/s: \(BenchFormat.fixed(attained * 100, 1)) % within the objectives"
        }

        /// The part of the requests that kept the objectives.
        package var attained: Double {
            let tally = measurement.tally
            let all = tally.succeeded + tally.failed + tally.cutOff
            return all > 0 ? Double(tally.good) / Double(all) : 0
        }
    }

    /// In the order they were made.
    package private(set) var runs: [Run] = []
    private var search: GoodputSearch

    /// Prepares one.
    package init(_ search: GoodputSearch) { self.search = search }

    /// Makes the runs.
    ///
    /// - Parameters:
    ///   - settings: of every run but for the rate.
    ///   - benchmark: makes a benchmark of settings; so the caller can stop it.
    ///   - note: called with each run.
    package mutating func run(
        _ settings: BenchSettings, benchmark: (BenchSettings) throws(CommandError) -> Benchmark, note: (Run) -> Void
    ) async throws(CommandError) {
        while let rate = search.next {
            var settings = settings
            settings.rate = rate
            // The server is warm after the first run.
            if !runs.isEmpty { settings.warmup = 0 }
            let benchmark = try benchmark(settings)
            let run = Run(rate: rate, measurement: try await benchmark.run())
            runs.append(run)
            note(run)
            guard !benchmark.control.isStopped else { return }
            search.take(attained: run.attained)
        }
    }

    /// The run with the highest rate that was good enough.
    package var best: Run? { search.best.flatMap { rate in runs.first { $0.rate == rate } } }

    /// A table of the runs and the result.
    package var text: String {
        var rows = [["requests/s", "done/s", "tokens/s", "TTFT p99 ms", "TPOT p99 ms", "within", "goodput/s"]]
        for run in runs.sorted(by: { $0.rate < $1.rate }) {
            let measurement = run.measurement
            func p99(_ histogram: LatencyHistogram) -> String {
                BenchFormat.milliseconds(histogram.percentile(99).map(Double.init))
            }
            rows.append([
                BenchFormat.fixed(run.rate, 2), BenchFormat.fixed(measurement.requestsPerSecond, 2),
                BenchFormat.fixed(measurement.outputTokensPerSecond, 1), p99(measurement.tally.ttft),
                p99(measurement.tally.tpot), "\(BenchFormat.fixed(run.attained * 100, 1)) %",
                BenchFormat.fixed(measurement.goodRequestsPerSecond, 2),
            ])
        }
        let table = rows.map { row in row.map { BenchFormat.right($0, 12) }.joined() }.joined(separator: "\n")
        let share = BenchFormat.fixed(search.attainment * 100, 0)
        guard let best else { return "\(table)\n\nAt no rate did \(share) % of the requests keep the objectives.\n" }
        return "\(table)\n\nHighest rate at which \(share) % of the requests keep the objectives: "
            + "\(BenchFormat.fixed(best.rate, 2)) requests/s, goodput "
            + "\(BenchFormat.fixed(best.measurement.goodRequestsPerSecond, 2)) requests/s\n"
    }

    /// The same for programs; the best run's report is a member of it.
    package var json: String {
        let list = runs.map { run in
            "{\"rate\": \(BenchFormat.fixed(run.rate, 4)), \"attained\": \(BenchFormat.fixed(run.attained, 4)), "
                + "\"report\": \(run.measurement.json.split(separator: "\n").joined())}"
        }
        let rate = best.map { BenchFormat.fixed($0.rate, 4) } ?? "null"
        let goodput = best.map { BenchFormat.fixed($0.measurement.goodRequestsPerSecond, 4) } ?? "null"
        return "{\"attainment\": \(search.attainment), \"best_rate\": \(rate), "
            + "\"best_goodput_requests_per_second\": \(goodput), \"runs\": [\(list.joined(separator: ", "))]}\n"
    }
}
