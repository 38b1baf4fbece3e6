internal import Histogram

/// Latencies in nanoseconds, by HdrHistogram: percentiles are right to three digits at any size.
///
/// Beside it stand the numbers that it keeps only by class: least, largest, and the sum for the mean.
package struct LatencyHistogram: Sendable {
    /// 36 years: no latency is larger, and no class is made for what is.
    private static let maximumTracked = UInt64(1) << 60

    /// Made with the first value: it takes 50 KiB, and most runs leave some empty.
    private var classes: Histogram<UInt64>?
    /// Values recorded.
    package private(set) var count = 0
    /// The smallest value, 0 where there is none.
    package private(set) var minimum = 0
    /// The largest value, 0 where there is none.
    package private(set) var maximum = 0
    private var sum = 0.0

    /// An empty histogram.
    package init() {}

    /// Counts a value; negative ones count as 0.
    package mutating func record(_ value: Int) {
        let value = max(0, value)
        if classes == nil { classes = Histogram(numberOfSignificantValueDigits: .three) }
        classes?.record(min(UInt64(value), Self.maximumTracked))
        minimum = count == 0 ? value : min(minimum, value)
        maximum = max(maximum, value)
        count += 1
        sum += Double(value)
    }

    /// The exact mean; nil where nothing was recorded.
    package var mean: Double? { count == 0 ? nil : sum / Double(count) }

    /// The value that `percent` of all values do not exceed (nearest rank); nil where nothing was recorded.
    ///
    /// At most 0.1 % above the value, and never outside of what was recorded.
    package func percentile(_ percent: Double) -> Int? {
        guard let classes else { return nil }
        if percent >= 100 { return maximum }
        return min(maximum, max(minimum, Int(clamping: classes.valueAtPercentile(percent))))
    }
}
