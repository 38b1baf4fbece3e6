import ArgumentParser
import DisaggCore
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

    @Argument(help: ArgumentHelp("The server: http://HOST:PORT.", valueName: "url")) var url: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Compare two reports that --format json wrote, and send nothing.", valueName: "A.json B.json"))
    var compare: [String] = []
    @OptionGroup(title: "LOAD OPTIONS") var load: BenchLoadOptions
    @OptionGroup(title: "REQUEST OPTIONS") var request: BenchRequestOptions
    @OptionGroup(title: "MEASURING OPTIONS") var measuring: BenchMeasuringOptions

    func validate() throws {
        guard compare.isEmpty || (compare.count == 2 && url == nil) else {
            throw ValidationError(
                "--compare takes two files and no server, for example --compare before.json after.json")
        }
        guard url != nil || !compare.isEmpty else { throw ValidationError("Missing expected argument '<url>'") }
        guard !load.search || measuring.slo != nil else {
            throw ValidationError("--search needs --slo, for example --slo ttft=500ms,tpot=50ms")
        }
    }

    func run() async throws {
        guard let url else { return Terminal.write(try BenchComparison(compare[0], compare[1]).text) }
        var settings = BenchSettings(target: try BenchTarget(url))
        try request.apply(to: &settings)
        load.apply(to: &settings)
        measuring.apply(to: &settings)
        var job = BenchJob(settings)
        job.attainment = load.search ? load.attainment : nil
        job.files.format = measuring.format
        job.files.output = measuring.output
        job.files.page = measuring.html
        let stop = BenchStop()
        let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm])
        let listener = Task {
            // The first one lets answers end, the second does not.
            for await _ in signals { stop.request() }
        }
        defer { listener.cancel() }
        throw ExitCode(try await job.run(stop: stop))
    }
}
