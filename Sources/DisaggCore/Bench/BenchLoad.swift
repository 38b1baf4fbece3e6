internal import NIOCore

/// Decides when the next request starts: a pure machine for closed loops, open loops and traces.
struct BenchLoad {
    /// Requests under way at once at most.
    private var concurrency: Int
    /// Requests that may still be started.
    private var left: Int
    /// Requests that were started.
    private var sent = 0
    private let startedAt: Int
    /// When no more are started.
    private var endsAt: Int?
    private var arrivals: ArrivalProcess?
    private var ramp: Ramp?
    /// Arrivals of a trace, in nanoseconds after the start.
    private var trace: [Int] = []
    private var nextArrival = 0
    /// When to ask again; the owner sets a timer and clears it.
    var wakeUp: Int?
    private var hasTimer = false

    /// A rate that grows or falls evenly.
    private struct Ramp {
        var from: Double
        var to: Double
        var nanoseconds: Int?
        var requests: Int?
    }

    private init(concurrency: Int, left: Int, now: Int = 0, endsAt: Int? = nil) {
        self.concurrency = concurrency
        self.left = left
        self.endsAt = endsAt
        startedAt = now
    }

    /// Starts nothing.
    static let idle = BenchLoad(concurrency: 0, left: 0)

    /// The requests before the measurement, in a closed loop.
    static func warmup(_ settings: BenchSettings) -> BenchLoad {
        BenchLoad(concurrency: min(settings.concurrency ?? 16, settings.warmup), left: settings.warmup)
    }

    static func measured(_ settings: BenchSettings, now: Int) -> BenchLoad {
        let nanoseconds = settings.duration.map { Int(TimeAmount($0).nanoseconds) }
        var load = BenchLoad(
            concurrency: settings.concurrency ?? .max, left: settings.requests ?? .max, now: now,
            endsAt: nanoseconds.map { now + $0 })
        if let rate = settings.rate {
            load.arrivals = ArrivalProcess(rate: rate, burstiness: settings.burstiness, seed: settings.seed)
            load.nextArrival = now
            if let end = settings.rampTo {
                load.ramp = Ramp(from: rate, to: end, nanoseconds: nanoseconds, requests: settings.requests)
            }
        } else if settings.followsTrace {
            load.trace = settings.dataset.items.map { Int(Double($0.arrival ?? 0) / settings.traceSpeed) }
            load.left = min(load.left, load.trace.count)
            load.nextArrival = now + (load.trace.first ?? 0)
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
        let due = arrivals == nil && trace.isEmpty ? now : nextArrival
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
        sent += 1
        let rate = ramp.map { self.rate($0, at: due) }
        if let gap = arrivals?.nextGap(rate: rate) {
            nextArrival = due + gap
        } else if trace.indices.contains(sent) {
            nextArrival = startedAt + trace[sent]
        }
        return due
    }

    /// The ramp's rate at a moment: by time where the run has a duration, by requests otherwise.
    private func rate(_ ramp: Ramp, at moment: Int) -> Double {
        var progress = 0.0
        if let nanoseconds = ramp.nanoseconds, nanoseconds > 0 {
            progress = Double(moment - startedAt) / Double(nanoseconds)
        } else if let requests = ramp.requests, requests > 1 {
            progress = Double(sent) / Double(requests - 1)
        }
        return ramp.from + (ramp.to - ramp.from) * min(1, max(0, progress))
    }
}
