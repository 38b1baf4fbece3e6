internal import NIOCore

/// Decides when the next request starts: a pure machine for closed and open loops.
struct BenchLoad {
    /// Requests under way at once at most.
    private var concurrency: Int
    /// Requests that may still be started.
    private var left: Int
    /// When no more are started.
    private var endsAt: Int?
    private var arrivals: ArrivalProcess?
    private var nextArrival = 0
    /// When to ask again; the owner sets a timer and clears it.
    var wakeUp: Int?
    private var hasTimer = false

    private init(concurrency: Int, left: Int, endsAt: Int? = nil) {
        self.concurrency = concurrency
        self.left = left
        self.endsAt = endsAt
    }

    /// Starts nothing.
    static let idle = BenchLoad(concurrency: 0, left: 0)

    /// The requests before the measurement, in a closed loop.
    static func warmup(_ settings: BenchSettings) -> BenchLoad {
        BenchLoad(concurrency: min(settings.concurrency ?? 16, settings.warmup), left: settings.warmup)
    }

    static func measured(_ settings: BenchSettings, now: Int) -> BenchLoad {
        var load = BenchLoad(
            concurrency: settings.concurrency ?? .max, left: settings.requests ?? .max,
            endsAt: settings.duration.map { now + Int(TimeAmount($0).nanoseconds) })
        if let rate = settings.rate {
            load.arrivals = ArrivalProcess(rate: rate, burstiness: settings.burstiness, seed: settings.seed)
            load.nextArrival = now
        }
        return load
    }

    /// No request will be started any more.
    var isExhausted: Bool { left == 0 }

    /// Starts no more.
    mutating func stop() { left = 0 }

    /// When the next request was due, where one may start now.
    ///
    /// - Parameter open: requests under way.
    mutating func next(open: Int, now: Int) -> Int? {
        guard left > 0 else { return nil }
        let due = arrivals == nil ? now : nextArrival
        // What was due before the end is still sent, however late.
        if let endsAt, due >= endsAt {
            left = 0
            return nil
        }
        guard due <= now else {
            if !hasTimer {
                hasTimer = true
                wakeUp = due
            }
            return nil
        }
        guard open < concurrency else { return nil }
        hasTimer = false
        left -= 1
        if let gap = arrivals?.nextGap() { nextArrival = due + gap }
        return due
    }
}
