internal import Glibc

/// The time of day, for logs.
package enum WallClock {
    /// Milliseconds since 1970-01-01 UTC.
    package static var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
    }
}
