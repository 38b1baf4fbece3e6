import Testing

@testable import DisaggCore

@Suite("Latency histogram")
struct LatencyHistogramTests {
    /// What the histogram must be near to: nearest rank on the sorted values. The next smaller number, so that a rank such
    /// as 99.9 % of 20,000 is not rounded up by its binary digits.
    private func exact(_ sorted: [Int], _ percent: Double) -> Int {
        sorted[min(sorted.count, max(1, Int((percent.nextDown / 100 * Double(sorted.count)).rounded(.up)))) - 1]
    }

    private static let percents = [0.0, 0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]

    @Test("percentiles are right to three digits, whatever the values' size", arguments: 0..<12)
    func percentiles(bits: Int) {
        var random = SeededGenerator(seed: UInt64(bits))
        var histogram = LatencyHistogram()
        var values: [Int] = []
        for _ in 0..<20_000 {
            // Of every magnitude up to that many bits.
            let value = Int(random.next() >> UInt64(20 + Int(random.next() % UInt64(44 - 3 * bits))))
            values.append(value)
            histogram.record(value)
        }
        values.sort()
        for percent in Self.percents {
            let expected = exact(values, percent)
            let found = histogram.percentile(percent) ?? -1
            #expect(
                found >= expected && (found - expected) * 1000 <= expected,
                "p\(percent): \(found), expected \(expected)")
        }
        let mean = Double(values.reduce(0, +)) / Double(values.count)
        #expect(abs((histogram.mean ?? 0) - mean) <= mean * 1e-9)
        #expect(histogram.minimum == values.first && histogram.maximum == values.last)
    }

    @Test("values below 2048 are kept exactly")
    func small() {
        var histogram = LatencyHistogram()
        for value in (0..<2048).shuffled() { histogram.record(value) }
        for percent in Self.percents {
            #expect(histogram.percentile(percent) == exact(Array(0..<2048), percent))
        }
    }

    @Test("every value from one class to the next has its place", arguments: [2046, 4094, 8188, 1 << 20, 1 << 40])
    func borders(around: Int) {
        for value in around..<around + 9 {
            var histogram = LatencyHistogram()
            histogram.record(value)
            histogram.record(value)
            histogram.record(1 << 50)
            #expect(abs((histogram.percentile(50) ?? 0) - value) * 1000 <= value)
        }
    }

    @Test("an empty one has no percentiles, one value is all of them, negative ones count as 0, the largest is kept")
    func edges() {
        var histogram = LatencyHistogram()
        #expect(histogram.percentile(50) == nil && histogram.mean == nil && histogram.maximum == 0)
        histogram.record(123_456_789)
        for percent in Self.percents { #expect(histogram.percentile(percent) == 123_456_789) }
        histogram.record(-5)
        #expect(histogram.minimum == 0 && histogram.percentile(1) == 0)
        histogram.record(.max)
        #expect(histogram.percentile(100) == .max)
    }
}
