/// A histogram with fixed bounds: whole numbers that one event loop counts up, added together when they are read.
package struct MetricHistogram: Sendable, Equatable {
    /// Upper bounds of the buckets, in nanoseconds and ascending; one more bucket takes the rest.
    ///
    /// They follow vLLM 0.33's (`vllm/v1/metrics/loggers.py`), so that a panel can put the engine's and the proxy's
    /// numbers into one picture. Below its smallest bounds some are added: a proxy is faster than an engine.
    package struct Bounds: Sendable, Equatable {
        package let nanoseconds: [Int64]

        /// Bounds given in microseconds, ascending.
        package init(microseconds: [Int64]) { nanoseconds = microseconds.map { $0 * 1000 } }

        /// `vllm:time_to_first_token_seconds`, and what adds up to it.
        package static let firstToken = Bounds(microseconds: [
            1000, 5000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
            2_500_000, 5_000_000, 7_500_000, 10_000_000, 20_000_000, 40_000_000, 80_000_000, 160_000_000, 640_000_000,
        ])
        /// A stage of a request: those of the first token, and below them finer ones, for a queue is mostly empty.
        package static let stage = Bounds(
            microseconds: [10, 25, 50, 100, 250, 500] + firstToken.nanoseconds.map { $0 / 1000 })
        /// `vllm:request_time_per_output_token_seconds`.
        package static let outputToken = Bounds(microseconds: [
            1000, 2500, 5000, 10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000,
            750_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 20_000_000, 40_000_000, 80_000_000,
        ])
        /// `vllm:e2e_request_latency_seconds`.
        package static let request = Bounds(microseconds: [
            50_000, 100_000, 300_000, 500_000, 800_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000, 5_000_000,
            10_000_000, 15_000_000, 20_000_000, 30_000_000, 40_000_000, 50_000_000, 60_000_000, 120_000_000,
            240_000_000, 480_000_000, 960_000_000, 1_920_000_000, 7_680_000_000,
        ])
        /// What the proxy itself takes: microseconds where it is well.
        package static let proxy = Bounds(microseconds: [
            25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
        ])
    }

    package let bounds: Bounds
    /// Observations in each bucket, not cumulative; the last one has no upper bound.
    package private(set) var counts: [Int]
    /// The sum of all observations.
    package private(set) var nanoseconds: Int64 = 0

    package init(_ bounds: Bounds) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.nanoseconds.count + 1)
    }

    /// Adds one observation; a clock that went backwards counts as 0.
    package mutating func observe(nanoseconds value: Int64) {
        let value = max(0, value)
        nanoseconds &+= value
        var low = 0
        var high = bounds.nanoseconds.count
        while low < high {
            let middle = (low + high) / 2
            if value > bounds.nanoseconds[middle] { low = middle + 1 } else { high = middle }
        }
        counts[low] &+= 1
    }

    /// Adds another loop's observations.
    mutating func add(_ other: MetricHistogram) {
        guard other.counts.count == counts.count else { return }
        nanoseconds &+= other.nanoseconds
        for index in counts.indices { counts[index] &+= other.counts[index] }
    }

    /// Observations so far.
    package var count: Int { counts.reduce(0, +) }
}
