import ArgumentParser
import DisaggCore
import Glibc
import UnixSignals

/// `disagg-launch bench`: measures an OpenAI-compatible server.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure any OpenAI-compatible server: latency, throughput, CPU time, lost tokens.",
        usage: "disagg-launch bench <url> [<options>]",
        discussion: """
            Sends generation requests and follows the answers token by token: throughput, and mean and percentiles of \
            TTFT (request to first token), ITL (between events with tokens), TPOT (mean time for a token after the first \
            of one answer) and E2E (request to end). One thread holds thousands of streams. It works with this proxy, \
            other routers and load balancers, or an engine alone.

            Without options it sends the load of LMCache's disaggregation example: 30 requests of 7500 tokens, one a \
            second, 200 tokens each. --concurrency is a closed loop: a new request starts when one has ended. --rate is \
            an open loop: requests arrive whatever the server does; with --concurrency too, never more at once.

            EXAMPLES:
              disagg-launch bench http://127.0.0.1:9000 --html report.html
              disagg-launch bench http://10.0.0.1:8000 --rate 4 --duration 60 \\
                --input-tokens 7500 --output-tokens 200 --slo ttft=500ms,tpot=50ms
              disagg-launch bench http://127.0.0.1:9000 --concurrency 200 \\
                --requests 2000 --check --pid $(pidof disagg-proxy) --format json

              disagg-launch bench http://127.0.0.1:9000 --search --slo ttft=500ms,tpot=50ms
              disagg-launch bench http://127.0.0.1:9000 \\
                --dataset trace-file --dataset-path trace.jsonl --trace-speed 2
              disagg-launch bench --compare before.json after.json

            EXIT STATUS: 0 measured; 1 nothing was answered, or --check found something wrong; 2 wrong arguments.
            """)

    @Argument(help: ArgumentHelp("The server: http://HOST:PORT.", valueName: "url"))
    var url: String?

    @Option(
        name: .customLong("compare"), parsing: .upToNextOption,
        help: ArgumentHelp(
            "Compare two reports that --format json wrote, and send nothing.", valueName: "A.json B.json"))
    var compared: [String] = []

    @OptionGroup(title: "LOAD OPTIONS")
    var load: BenchLoadOptions
    @OptionGroup(title: "REQUEST OPTIONS")
    var request: BenchRequestOptions
    @OptionGroup(title: "MEASURING OPTIONS")
    var measuring: BenchMeasuringOptions

    func validate() throws {
        if compared.isEmpty {
            guard url != nil else { throw ValidationError("Missing expected argument '<url>'") }
        } else {
            guard compared.count == 2, url == nil else {
                throw ValidationError(
                    "--compare takes two files and no server, for example --compare before.json after.json")
            }
        }
        guard !load.isSearch || measuring.slo != nil else {
            throw ValidationError("--search needs --slo, for example --slo ttft=500ms,tpot=50ms")
        }
    }

    func run() async throws {
        if compared.count == 2 { return Terminal.write(try BenchComparison(compared[0], compared[1]).text) }
        var settings = BenchSettings(target: try BenchTarget(url ?? ""))
        try request.apply(to: &settings)
        load.apply(to: &settings, hasArrivals: settings.dataset.hasArrivals)
        try measuring.apply(to: &settings)
        try settings.validate()
        try measuring.checkOutput()
        let stop = BenchStop()
        let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm])
        let listener = Task {
            // The first one lets answers end, the second does not.
            for await _ in signals { stop.request() }
        }
        defer { listener.cancel() }
        func benchmark(_ settings: BenchSettings) throws(CommandError) -> Benchmark {
            let benchmark = try Benchmark(settings, progress: isatty(STDERR_FILENO) == 1 ? Self.show : nil)
            stop.follow(benchmark.control)
            return benchmark
        }
        guard load.isSearch else {
            let measurement = try await benchmark(settings).run()
            Self.clear()
            try measuring.report(measurement)
            if measurement.exitStatus != 0 { throw ExitCode(measurement.exitStatus) }
            return
        }
        var sweep = GoodputSweep(GoodputSearch(start: settings.rate ?? 1, attainment: load.attainment))
        try await sweep.run(settings, benchmark: benchmark) { run in
            Self.clear()
            Terminal.writeError("\(run.summary)\n")
        }
        try measuring.report(sweep)
        if sweep.best == nil { throw ExitCode(1) }
    }

    private static func clear() {
        if isatty(STDERR_FILENO) == 1 { Terminal.writeError("\r\u{1B}[2K") }
    }

    private static let show: @Sendable (BenchControl.Progress) -> Void = { progress in
        Terminal.writeError("\r\u{1B}[2K\(progress.line(columns: Terminal.errorColumns))")
    }
}
