/// What an engine said of itself in its metrics.
package struct EngineLoad: Sendable, Hashable {
    /// Facts older than this say nothing any more.
    package static let maximumAge: UInt64 = 5_000_000_000

    /// When it was said, in nanoseconds.
    package var time: UInt64
    /// Requests that are being computed.
    package var running: Int?
    /// Requests that wait in the engine.
    package var waiting: Int?
    /// Requests it had then that this proxy did not send.
    package var foreign = 0
    /// Part of the KV cache in use, 0...1.
    package var cacheUsage: Double?

    package init(time: UInt64, running: Int? = nil, waiting: Int? = nil, cacheUsage: Double? = nil) {
        self.time = time
        self.running = running
        self.waiting = waiting
        self.cacheUsage = cacheUsage
    }

    /// Whether it still counts.
    @inline(__always)
    package func isFresh(at now: UInt64) -> Bool { now < time || now - time <= Self.maximumAge }

    /// How old it is, in seconds.
    package func age(at now: UInt64) -> Double { now > time ? Double(now - time) / 1e9 : 0 }
}
