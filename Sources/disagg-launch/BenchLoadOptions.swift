import ArgumentParser
import DisaggCore

/// How fast, how much, how long.
struct BenchLoadOptions: ParsableArguments {
    @Option(help: "Requests at once; a closed loop without --rate.") var concurrency: Int?
    @Option(help: "Requests a second that arrive (open loop). (default: 1, without --concurrency and a trace)")
    var rate: Double?
    @Option(help: "The rate grows or falls evenly from --rate to this one.") var rampTo: Double?
    @Option(
        help: ArgumentHelp(
            "With --rate: 1 is Poisson, below 1 in bursts, above 1 more even, inf evenly spaced. (default: 1; 100 with the "
                + "default rate)", valueName: "b"))
    var burstiness: Double?
    @Option(help: "Requests to send. (default: 30 without --duration, 10 s without --rate)") var requests: Int?
    @Option(help: "Seconds in which requests are started.") var duration: Double?
    @Option(help: "Requests before the measurement.") var warmup = 0
    @Option(help: "Seed of arrivals and prompts: the same one sends the same.") var seed: UInt64 = 0
    @Option(help: "Seconds for one answer.") var timeout = 120.0
    @Option(help: "Seconds after which everything ends; what runs then is cut off.") var maxSeconds = 600.0
    @Flag(help: "Search the highest rate at which --slo is kept: runs at several rates, beginning with --rate.")
    var search = false
    @Option(
        help: "With --search: the part of the requests that must keep --slo. (default: 0.95)",
        transform: number(0.001...1))
    var attainment = 0.95

    func validate() throws {
        guard !search || (concurrency == nil && rampTo == nil) else {
            throw ValidationError("--search tries rates of its own; leave --concurrency and --ramp-to out")
        }
    }

    func apply(to settings: inout BenchSettings) {
        settings.concurrency = concurrency
        settings.rate = rate
        settings.rampTo = rampTo
        settings.requests = requests
        settings.duration = duration.map(Self.seconds)
        settings.warmup = warmup
        settings.seed = seed
        settings.timeout = Self.seconds(timeout)
        settings.limit = Self.seconds(maxSeconds)
        settings.completeLoad(burstiness: burstiness, isSearch: search)
    }

    /// Out of range is out of range; the settings' check says so.
    private static func seconds(_ value: Double) -> Duration {
        value.isFinite && abs(value) < 1e9 ? .seconds(value) : .zero
    }
}
