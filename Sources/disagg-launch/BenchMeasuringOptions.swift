import ArgumentParser
import DisaggCore
import Glibc

/// What is looked at, and where the report goes.
struct BenchMeasuringOptions: ParsableArguments {
    /// How a report is written.
    enum Format: String, CaseIterable { case text, json }

    @Flag(
        help:
            "Every answer must have all its tokens, a reason to finish and its end. Engines must send one event a token or token ids."
    )
    var check = false
    @Flag(help: "And its tokens in order: for engines that number them (simulate --number-tokens).")
    var checkOrder = false
    @Option(
        help: ArgumentHelp(
            "Objectives of goodput, any of ttft, tpot and e2e: ttft=500ms,tpot=50ms,e2e=20s.", valueName: "list"))
    var slo: String?
    @Option(
        name: .customLong("pid"),
        help: ArgumentHelp(
            "Processes under test, comma-separated: CPU time a token and a request, memory, their children included.",
            valueName: "pid,…"))
    var processes: String?
    @Option(
        help: ArgumentHelp("text or json.", valueName: "text|json"),
        transform: { text in
            guard let format = Format(rawValue: text) else {
                throw ValidationError("expected text or json, got \"\(text)\"")
            }
            return format
        })
    var format = Format.text
    @Option(help: ArgumentHelp("Write the report to this file.", valueName: "file"))
    var output: String?
    @Option(
        help: ArgumentHelp("Write a page with plots to this file; it loads nothing from anywhere.", valueName: "file"))
    var html: String?

    func apply(to settings: inout BenchSettings) throws {
        settings.checks = check || checkOrder
        settings.checksOrder = checkOrder
        if let slo { settings.objectives = try ServiceObjectives(slo) }
        for part in processes?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
            guard let process = Int32(part) else {
                throw ValidationError("--pid: \"\(part)\" is no process id; expected for example --pid 1234,1235")
            }
            settings.processes.append(process)
        }
    }

    /// A file that cannot be written is better found before the run than behind it.
    func checkOutput() throws {
        for path in [output, html].compactMap({ $0 }) {
            try RunDirectory.write(EngineCommand.File(path: path, contents: ""))
        }
    }

    func report(_ measurement: BenchMeasurement) throws {
        try write(format == .json ? measurement.json : measurement.text)
        try writePage(measurement)
    }

    /// The report of a search: its runs, and the best one's own report.
    func report(_ sweep: GoodputSweep) throws {
        let best = sweep.best?.measurement
        try write(format == .json ? sweep.json : sweep.text + (best.map { "\n\($0.text)" } ?? ""))
        if let best { try writePage(best) }
    }

    private func writePage(_ measurement: BenchMeasurement) throws {
        guard let html else { return }
        let page = measurement.html(date: WallClock.text(time(nil)))
        try RunDirectory.write(EngineCommand.File(path: html, contents: page))
    }

    private func write(_ report: String) throws {
        guard let output else { return Terminal.write(report) }
        try RunDirectory.write(EngineCommand.File(path: output, contents: report))
    }
}
