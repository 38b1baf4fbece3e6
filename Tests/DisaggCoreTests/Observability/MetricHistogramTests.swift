import Testing

@testable import DisaggCore

@Suite("Histograms")
struct MetricHistogramTests {
    @Test("an observation on a bound belongs to the bucket that it ends, as Prometheus counts")
    func bounds() {
        var histogram = MetricHistogram(.init(microseconds: [1, 2, 5]))
        for value: Int64 in [0, 1000, 1001, 2000, 4999, 5000, 5001, 1_000_000] { histogram.observe(nanoseconds: value) }
        #expect(histogram.counts == [2, 2, 2, 2])
        #expect(histogram.count == 8)
        #expect(histogram.nanoseconds == 1_019_001)
    }

    @Test("a clock that went backwards counts as no time at all")
    func negative() {
        var histogram = MetricHistogram(.firstToken)
        histogram.observe(nanoseconds: -5)
        #expect(histogram.counts[0] == 1)
        #expect(histogram.nanoseconds == 0)
    }

    @Test("all bounds ascend", arguments: [MetricHistogram.Bounds.firstToken, .stage, .outputToken, .request, .proxy])
    func ascending(bounds: MetricHistogram.Bounds) {
        #expect(zip(bounds.nanoseconds, bounds.nanoseconds.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test("loops' histograms add up bucket by bucket")
    func adding() {
        var left = MetricHistogram(.proxy)
        var right = MetricHistogram(.proxy)
        left.observe(nanoseconds: 10)
        right.observe(nanoseconds: 10)
        right.observe(nanoseconds: 9_000_000_000)
        left.add(right)
        #expect(left.counts.first == 2)
        #expect(left.counts.last == 1)
        #expect(left.count == 3)
    }
}
