import ArgumentParser
import DisaggCore

/// What is looked at, and where the report goes.
struct BenchMeasuringOptions: ParsableArguments {
    @Flag(
        help:
            "Every answer must have all its tokens, a reason to finish and its end. Engines must send one event a token or token ids."
    )
    var check = false
    @Flag(help: "And its tokens in order: for engines that number them (simulate --number-tokens).")
    var checkOrder = false
    @Option(
        help: "Objectives of goodput, any of ttft, tpot and e2e: ttft=500ms,tpot=50ms,e2e=20s.",
        transform: { text in try ServiceObjectives(text) })
    var slo: ServiceObjectives?
    @Option(
        help: ArgumentHelp(
            "Processes under test, comma-separated: CPU time a token and a request, memory, their children included.",
            valueName: "pid,…"),
        transform: reading("process ids, for example 1234,1235 (this is no process id)") { text -> [Int32]? in
            let ids = text.split(separator: ",", omittingEmptySubsequences: false).map { Int32($0) }
            return ids.contains(nil) ? nil : ids.compactMap { $0 }
        })
    var pid: [Int32]?
    @Option(help: ArgumentHelp("text or json. (default: text)", valueName: "text|json"), transform: choice)
    var format = BenchReportFiles.Format.text
    @Option(help: "Write the report to this file.") var output: String?
    @Option(help: "Write a page with plots to this file; it loads nothing from anywhere.") var html: String?

    func apply(to settings: inout BenchSettings) {
        settings.checks = check || checkOrder
        settings.checksOrder = checkOrder
        if let slo { settings.objectives = slo }
        settings.processes = pid ?? []
    }
}
