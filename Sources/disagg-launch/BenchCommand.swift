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

            --concurrency is a closed loop: a new request starts when one has ended. --rate is an open loop: requests \
            arrive by a Poisson process whatever the server does; with --concurrency too, never more at once.

            EXAMPLES:
              disagg-launch bench http://127.0.0.1:9000
              disagg-launch bench http://10.0.0.1:8000 --rate 4 --duration 60 \\
                --input-tokens 7500 --output-tokens 200 --slo ttft=500ms,tpot=50ms
              disagg-launch bench http://127.0.0.1:9000 --concurrency 200 \\
                --requests 2000 --check --pid $(pidof disagg-proxy) --format json

            EXIT STATUS: 0 measured; 1 nothing was answered, or --check found something wrong; 2 wrong arguments.
            """)

    @Argument(help: ArgumentHelp("The server: http://HOST:PORT.", valueName: "url"))
    var url: String

    @OptionGroup(title: "LOAD OPTIONS")
    var load: BenchLoadOptions
    @OptionGroup(title: "REQUEST OPTIONS")
    var request: BenchRequestOptions
    @OptionGroup(title: "MEASURING OPTIONS")
    var measuring: BenchMeasuringOptions

    func run() async throws {
        var settings = BenchSettings(target: try BenchTarget(url))
        load.apply(to: &settings)
        request.apply(to: &settings)
        try measuring.apply(to: &settings)
        try measuring.checkOutput()
        let benchmark = try Benchmark(settings, progress: isatty(STDERR_FILENO) == 1 ? Self.show : nil)
        let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm])
        let control = benchmark.control
        let listener = Task {
            // The first one lets answers end, the second does not.
            for await _ in signals { control.stop() }
        }
        defer { listener.cancel() }
        let measurement = try await benchmark.run()
        if isatty(STDERR_FILENO) == 1 { Terminal.writeError("\r\u{1B}[2K") }
        try measuring.report(measurement)
        if measurement.exitStatus != 0 { throw ExitCode(measurement.exitStatus) }
    }

    private static let show: @Sendable (BenchControl.Progress) -> Void = { progress in
        let done = progress.requests.map { "\(progress.succeeded) of \($0)" } ?? "\(progress.succeeded)"
        let failed = progress.failed > 0 ? ", \(progress.failed) failed" : ""
        Terminal.writeError(
            "\r\u{1B}[2K\(progress.isWarmup ? "warm-up" : "measuring"), \(Int(progress.seconds)) s: \(done) requests"
                + "\(failed), \(progress.open) under way")
    }
}
