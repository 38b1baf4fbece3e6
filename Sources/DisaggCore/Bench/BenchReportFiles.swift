internal import Glibc

/// Where a benchmark's report goes, and how it is written.
package struct BenchReportFiles: Sendable {
    /// How a report is written.
    package enum Format: String, Sendable, CaseIterable { case text, json }

    package var format = Format.text
    /// The report's file; standard output where nil.
    package var output: String?
    /// The file of a page with plots; none where nil.
    package var page: String?

    /// The text on standard output.
    package init() {}

    /// Makes the files: one that cannot be written is better found before the run than behind it.
    package func prepare() throws(CommandError) {
        for path in [output, page].compactMap({ $0 }) { try HostFiles.write("", to: path) }
    }

    /// Writes the report of one run.
    package func write(_ measurement: BenchMeasurement) throws(CommandError) {
        try write(format == .json ? measurement.json : measurement.text)
        try writePage(measurement)
    }

    private func writePage(_ measurement: BenchMeasurement) throws(CommandError) {
        guard let page else { return }
        try HostFiles.write(measurement.html(date: WallClock.text(time(nil))), to: page)
    }

    /// Writes the report of a search: its runs, and the best one's own report.
    package func write(_ sweep: GoodputSweep) throws(CommandError) {
        let best = sweep.best?.measurement
        try write(format == .json ? sweep.json : sweep.text + (best.map { "\n\($0.text)" } ?? ""))
        if let best { try writePage(best) }
    }

    private func write(_ report: String) throws(CommandError) {
        guard let output else { return Terminal.write(report) }
        try HostFiles.write(report, to: output)
    }
}
