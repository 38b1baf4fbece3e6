internal import Synchronization

/// Moving averages of how soon a backend answers and how fast its streams go on: each is one atomic word.
///
/// Two loops that write at once lose one observation: no harm.
struct LatencyAverages: ~Copyable, Sendable {
    /// Streams that must have ended before a decoder's pace is told.
    private static let leastStreams = 2
    /// The weight of the newest observation, once there are enough for it.
    private static let share = 0.1

    private let timeToFirstTokenBits = Atomic<UInt64>(0)
    private let timePerTokenBits = Atomic<UInt64>(0)
    private let runningAtThatTime = Atomic<UInt64>(0)
    private let streams = Atomic<Int>(0)

    init() {}

    /// Seconds from a leg's dispatch to its first token; nil until observed.
    var timeToFirstToken: Double? {
        let value = Double(bitPattern: timeToFirstTokenBits.load(ordering: .relaxed))
        return value > 0 ? value : nil
    }

    func observe(timeToFirstToken seconds: Double) {
        guard seconds > 0, seconds.isFinite else { return }
        Self.move(timeToFirstTokenBits, to: seconds, timeToFirstToken == nil ? 1 : Self.share)
    }

    /// Seconds between two tokens of a stream, and the number of requests that ran then; nil until observed.
    @inline(__always)
    var timePerToken: (seconds: Double, running: Double)? {
        guard streams.load(ordering: .relaxed) > Self.leastStreams else { return nil }
        let value = Double(bitPattern: timePerTokenBits.load(ordering: .relaxed))
        return value > 0 ? (value, Double(bitPattern: runningAtThatTime.load(ordering: .relaxed))) : nil
    }

    /// The first stream does not count, it meets a cold engine, and one is not enough to be judged by.
    func observe(timePerToken seconds: Double, running: Int) {
        guard seconds > 0, seconds.isFinite else { return }
        let number = streams.wrappingAdd(1, ordering: .relaxed).newValue - 1
        guard number > 0 else { return }
        let share = max(Self.share, 1 / Double(number))
        Self.move(timePerTokenBits, to: seconds, share)
        Self.move(runningAtThatTime, to: Double(running), share)
    }

    func forget() {
        timeToFirstTokenBits.store(0, ordering: .relaxed)
        timePerTokenBits.store(0, ordering: .relaxed)
        runningAtThatTime.store(0, ordering: .relaxed)
        streams.store(0, ordering: .relaxed)
    }

    private static func move(_ average: borrowing Atomic<UInt64>, to value: Double, _ share: Double) {
        let old = Double(bitPattern: average.load(ordering: .relaxed))
        average.store((old + share * (value - old)).bitPattern, ordering: .relaxed)
    }
}
