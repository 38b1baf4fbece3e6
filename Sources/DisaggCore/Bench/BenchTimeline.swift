/// What happened when during a run, in slices of equal length. There are at most so many: where a run lasts longer, two
/// become one.
package struct BenchTimeline: Sendable {
    /// One slice.
    package struct Slice: Sendable, Hashable {
        package var started = 0
        package var finished = 0
        package var failed = 0
        package var tokens = 0
        /// Requests under way, at most.
        package var open = 0
        package var ttft = Summary()
        package var itl = Summary()

        mutating func merge(_ other: Slice) {
            started += other.started
            finished += other.finished
            failed += other.failed
            tokens += other.tokens
            open = max(open, other.open)
            ttft.merge(other.ttft)
            itl.merge(other.itl)
        }
    }

    /// Mean and maximum of a slice's latencies, in nanoseconds.
    package struct Summary: Sendable, Hashable {
        package var count = 0
        package var sum = 0
        package var maximum = 0

        /// nil where there is none.
        package var mean: Double? { count == 0 ? nil : Double(sum) / Double(count) }

        mutating func add(_ value: Int) {
            count += 1
            sum &+= value
            maximum = max(maximum, value)
        }

        mutating func merge(_ other: Summary) {
            count += other.count
            sum &+= other.sum
            maximum = max(maximum, other.maximum)
        }
    }

    private static let maximumSlices = 240

    /// Length of a slice, in nanoseconds.
    package private(set) var width = 250_000_000
    /// The slices from the run's start on.
    package private(set) var slices: [Slice] = []
    /// The most tokens that came within one second on the clock of the run.
    package private(set) var peakTokensPerSecond = 0
    private var start = 0
    private var second = 0
    private var secondTokens = 0

    /// An empty one.
    package init() {}

    /// Begins.
    mutating func begin(at now: Int) { start = now }

    /// Changes the slice of a moment.
    @inline(__always)
    mutating func note(at now: Int, _ change: (inout Slice) -> Void) {
        let elapsed = max(0, now - start)
        while elapsed / width >= Self.maximumSlices { double() }
        let index = elapsed / width
        if index >= slices.count {
            slices.append(contentsOf: repeatElement(Slice(), count: index + 1 - slices.count))
        }
        change(&slices[index])
    }

    /// Counts tokens.
    mutating func tokens(_ count: Int, at now: Int) {
        let current = max(0, now - start) / 1_000_000_000
        if current != second {
            second = current
            secondTokens = 0
        }
        secondTokens += count
        peakTokensPerSecond = max(peakTokensPerSecond, secondTokens)
        note(at: now) { $0.tokens += count }
    }

    /// The same with longer and fewer slices, for a plot whose lines shall not jump from request to request.
    func condensed(to maximum: Int) -> BenchTimeline {
        var timeline = self
        while timeline.slices.count > max(1, maximum) { timeline.double() }
        return timeline
    }

    private mutating func double() {
        width *= 2
        slices = stride(from: 0, to: slices.count, by: 2).map { index in
            var slice = slices[index]
            if index + 1 < slices.count { slice.merge(slices[index + 1]) }
            return slice
        }
    }
}
