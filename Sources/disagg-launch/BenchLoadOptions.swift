import ArgumentParser
import DisaggCore

/// How fast, how much, how long.
struct BenchLoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Requests at once. (default: 16; with --rate no limit)", valueName: "n"))
    var concurrency: Int?
    @Option(help: ArgumentHelp("Requests a second that arrive (open loop).", valueName: "r"))
    var rate: Double?
    @Option(help: "With --rate: 1 is Poisson, below 1 in bursts, above 1 more even, inf evenly spaced.")
    var burstiness = 1.0
    @Option(help: ArgumentHelp("Requests to send.", valueName: "n"))
    var requests: Int?
    @Option(
        help: ArgumentHelp("Seconds in which requests are started. (default: 10 without --requests)", valueName: "s"))
    var duration: Double?
    @Option(help: ArgumentHelp("Requests before the measurement.", valueName: "n"))
    var warmup = 0
    @Option(help: "Seed of arrivals and prompts: the same one sends the same.")
    var seed: UInt64 = 0
    @Option(help: ArgumentHelp("Seconds for one answer.", valueName: "s"))
    var timeout = 120.0
    @Option(help: ArgumentHelp("Seconds after which everything ends; what runs then is cut off.", valueName: "s"))
    var maxSeconds = 600.0

    func apply(to settings: inout BenchSettings) {
        settings.concurrency = concurrency ?? (rate == nil ? 16 : nil)
        settings.rate = rate
        settings.burstiness = burstiness
        settings.requests = requests
        settings.duration = duration.map(seconds) ?? (requests == nil ? .seconds(10) : nil)
        settings.warmup = warmup
        settings.seed = seed
        settings.timeout = seconds(timeout)
        settings.limit = seconds(maxSeconds)
    }

    /// Out of range is out of range; the settings' check says so.
    private func seconds(_ value: Double) -> Duration {
        value.isFinite && abs(value) < 1e9 ? .seconds(value) : .zero
    }
}
