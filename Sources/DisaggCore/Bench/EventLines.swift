#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Cuts a server-sent event stream into its `data` lines; copies only lines that the network split.
///
/// Every `data:` line counts as an event of its own, which is what all engines send (an event may have several).
struct EventLines {
    /// Largest line that is kept, in bytes.
    static let maximumLineBytes = 16 << 20

    private var pending: [UInt8] = []

    /// Whether a line has begun and not ended.
    var isInsideLine: Bool { !pending.isEmpty }

    /// Takes the next bytes.
    ///
    /// - Parameter line: called with what follows `data:`; false stops.
    /// - Returns: false where `line` stopped, or a line is too long.
    @inline(__always)
    mutating func feed(_ bytes: UnsafeRawBufferPointer, line: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var start = 0
        while start < bytes.count {
            guard let found = memchr(base + start, 0x0A, bytes.count - start) else { break }
            let end = UnsafeRawPointer(found) - base
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            start = end + 1
            if pending.isEmpty {
                if let data = Self.data(rest), !line(data) { return false }
            } else {
                pending.append(contentsOf: rest)
                let goesOn = pending.withUnsafeBytes { whole in Self.data(whole).map(line) ?? true }
                pending.removeAll(keepingCapacity: true)
                if !goesOn { return false }
            }
        }
        if start < bytes.count { pending.append(contentsOf: bytes[start...]) }
        return pending.count <= Self.maximumLineBytes
    }

    /// What follows `data:` and one space, without a carriage return; nil for other lines.
    private static func data(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let prefix: StaticString = "data:"
        guard line.count >= 5, let base = line.baseAddress, memcmp(base, prefix.utf8Start, 5) == 0 else { return nil }
        var first = 5
        var last = line.count
        if first < last, line[first] == 0x20 { first += 1 }
        if last > first, line[last - 1] == 0x0D { last -= 1 }
        return UnsafeRawBufferPointer(rebasing: line[first..<last])
    }
}
