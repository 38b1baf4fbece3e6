internal import Synchronization

/// What the outside does to a running benchmark, and hears from it.
package final class BenchControl: Sendable {
    /// How far a benchmark is.
    package struct Progress: Sendable {
        package var isWarmup: Bool
        package var seconds: Double
        package var succeeded: Int
        package var failed: Int
        package var open: Int
        package var requests: Int?
        /// Seconds in which requests are started; nil where only their number counts.
        package var limit: Double?
        package var tokensPerSecond: Double
    }

    private let stops = Atomic<Int>(0)
    private let progress: (@Sendable (Progress) -> Void)?
    private let requests: Int?
    private let limit: Double?
    let meter: ProcessMeter?

    init(_ settings: BenchSettings, progress: (@Sendable (Progress) -> Void)?) {
        self.progress = progress
        requests = settings.requests ?? (settings.followsTrace ? settings.dataset.items.count : nil)
        limit = settings.duration.map { Double($0.components.seconds) + Double($0.components.attoseconds) / 1e18 }
        meter = settings.processes.isEmpty ? nil : ProcessMeter(settings.processes)
    }

    /// Starts no more requests; called again, cuts off those under way.
    package func stop() { stops.wrappingAdd(1, ordering: .relaxed) }

    var isStopped: Bool { stops.load(ordering: .relaxed) > 0 }
    var isStoppedTwice: Bool { stops.load(ordering: .relaxed) > 1 }

    func report(_ phase: BenchSession.Phase, tally: BenchTally, open: Int) {
        guard let progress, phase == .warmup || phase == .measured, let started = tally.startedAt else { return }
        let seconds = Double(BenchSession.now() - started) / 1e9
        progress(
            Progress(
                isWarmup: phase == .warmup, seconds: seconds, succeeded: tally.succeeded, failed: tally.failed,
                open: open, requests: requests, limit: limit,
                tokensPerSecond: seconds > 0 ? Double(tally.arrivedTokens) / seconds : 0))
    }
}
