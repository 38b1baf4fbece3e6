/// What `disagg-launch bench` was asked for: one run, or a search for the highest rate.
package struct BenchJob: Sendable {
    package var settings: BenchSettings
    /// The part of the requests that must keep the objectives, where the highest such rate is searched; nil for one run.
    package var attainment: Double?
    package var files = BenchReportFiles()

    /// Describes one run.
    package init(_ settings: BenchSettings) { self.settings = settings }

    /// Measures, shows how far it is where standard error is a terminal, and writes the reports.
    ///
    /// - Parameter stop: what ends a run early.
    /// - Returns: the command's exit status.
    /// - Throws: ``CommandError`` where settings contradict each other, or nothing could be measured.
    package func run(stop: BenchStop) async throws(CommandError) -> Int32 {
        try settings.validate()
        try files.prepare()
        func benchmark(_ settings: BenchSettings) throws(CommandError) -> Benchmark {
            let benchmark = try Benchmark(settings, progress: Terminal.isErrorTerminal ? Self.show : nil)
            stop.follow(benchmark.control)
            return benchmark
        }
        guard let attainment else {
            let measurement = try await benchmark(settings).run()
            Self.clear()
            try files.write(measurement)
            return measurement.exitStatus
        }
        var sweep = GoodputSweep(GoodputSearch(start: settings.rate ?? 1, attainment: attainment))
        try await sweep.run(settings, benchmark: benchmark) { run in
            Self.clear()
            Terminal.writeError("\(run.summary)\n")
        }
        try files.write(sweep)
        return sweep.best == nil ? 1 : 0
    }

    private static func clear() {
        if Terminal.isErrorTerminal { Terminal.writeError("\r\u{1B}[2K") }
    }

    private static let show: @Sendable (BenchControl.Progress) -> Void = { progress in
        Terminal.writeError("\r\u{1B}[2K\(progress.line(columns: Terminal.errorColumns))")
    }
}
