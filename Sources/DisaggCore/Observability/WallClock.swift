internal import Glibc

/// Dates as logs and tables show them.
package enum WallClock {
    /// A time as `2026-11-25T18:00:00Z`.
    ///
    /// - Parameter seconds: since 1970.
    package static func text(_ seconds: Int) -> String {
        var moment = time_t(seconds)
        var parts = tm()
        guard gmtime_r(&moment, &parts) != nil else { return "\(seconds)" }
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }

    /// A time span as `3d4h`, `2h5m`, `12m3s` or `9s`.
    package static func span(_ seconds: Int) -> String {
        let seconds = max(0, seconds)
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3600 { return "\(seconds / 60)m\(seconds % 60)s" }
        if seconds < 86_400 { return "\(seconds / 3600)h\(seconds / 60 % 60)m" }
        return "\(seconds / 86_400)d\(seconds / 3600 % 24)h"
    }
}
