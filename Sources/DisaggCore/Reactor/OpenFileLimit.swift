#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// How many descriptors this process may have open; a stream takes two.
package enum OpenFileLimit {
    /// Raises the limit to what the system allows without privileges, for shells commonly start programs with 1,024, and
    /// has the kernel make its table of descriptors that long at once.
    ///
    /// The kernel doubles the table when a descriptor does not fit, and in a process with threads it waits for an RCU
    /// grace period each time: the event loop that opened the 65th, 129th, … connection stood still for 10 to 15 ms.
    ///
    /// - Returns: the limit from now on.
    @discardableResult
    package static func raise() -> Int {
        guard var limit else { return 0 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(resource, &raised) == 0 { limit = raised }
        }
        let descriptors = Int(clamping: limit.rlim_cur)
        lengthenTable(min(descriptors, longestTable))
        return descriptors
    }

    /// The limit now; nil where it cannot be read.
    package static var current: Int? { limit.map { Int(clamping: $0.rlim_cur) } }

    /// How many clients can be served at once with the descriptors that are free now: each has one, and another at an engine.
    package static var clients: Int {
        guard let current else { return .max }
        let lowestFree = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard lowestFree >= 0 else { return 1 }
        close(lowestFree)
        return max(1, (current - Int(lowestFree) - spare) / 2)
    }

    /// Descriptors for health checks, scrapes, logs and the admin API.
    private static let spare = 64

    #if canImport(Glibc)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let resource = RLIMIT_NOFILE
    #endif

    private static var limit: rlimit? {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? limit : nil
    }

    /// How long a table is made ahead, in descriptors of 8 bytes: 512 KiB of kernel memory where the limit is higher.
    private static let longestTable = 65_536

    /// A table never shrinks, so one high descriptor, closed again, is enough.
    private static func lengthenTable(_ descriptors: Int) {
        let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        let high = fcntl(file, F_DUPFD_CLOEXEC, Int32(descriptors - 1))
        if high >= 0 { close(high) }
    }
}
