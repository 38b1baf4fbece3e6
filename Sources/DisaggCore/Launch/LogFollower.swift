internal import Glibc

/// Reads a log file as it grows, across rotations.
package struct LogFollower: Sendable {
    /// The file.
    package let path: String
    private var offset = 0
    private var rest: [UInt8] = []

    /// Bytes read at once, and the longest line.
    private static let blockBytes = 1 << 20

    /// Starts at the beginning of the file.
    package init(_ path: String) { self.path = path }

    /// The last lines so far; the next call of ``next()`` goes on behind them.
    package mutating func last(_ count: Int) -> [String] {
        var lines: [String] = []
        var status = stat()
        if stat(path, &status) == 0 { offset = max(0, Int(status.st_size) - 4 * Self.blockBytes) }
        while true {
            let more = next()
            if more.isEmpty { return Array(lines.suffix(count)) }
            lines = Array((lines + more).suffix(max(count, 0)))
        }
    }

    /// Lines that were added since; empty where there are none.
    package mutating func next() -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        // It was cut: it begins anew.
        if lseek(descriptor, 0, SEEK_END) < offset {
            offset = 0
            rest = []
        }
        var lines: [String] = []
        var buffer = [UInt8](repeating: 0, count: Self.blockBytes)
        while lines.isEmpty {
            let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
            guard count > 0 else { break }
            offset += count
            rest += buffer[..<count]
            guard let end = rest.lastIndex(of: 0x0A) else {
                if rest.count > Self.blockBytes {
                    lines.append(LogTail.clean(rest[...]))
                    rest = []
                }
                continue
            }
            lines = rest[..<end].split(separator: 0x0A, omittingEmptySubsequences: false).map {
                // What a progress bar showed last.
                LogTail.clean($0.split(separator: 0x0D).last ?? [])
            }
            rest.removeFirst(end + 1)
        }
        return lines
    }
}
