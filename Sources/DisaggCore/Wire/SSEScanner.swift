/// Cuts a server-sent event stream into events, wherever the network split it.
///
/// An event ends with an empty line; `\n` and `\r\n` line ends are accepted (WHATWG HTML §9.2.6).
package struct SSEScanner: Sendable {
    /// Largest event that is buffered, in bytes.
    package static let maximumEventBytes = 16 << 20

    /// The beginning of an event whose end has not come. Mostly nothing: engines write whole events.
    private var pending: [UInt8] = []
    /// Bytes of it in which no event ends, so that a long event is not searched again with every read.
    private var searched = 0

    /// A scanner at the start of a stream.
    package init() {}

    /// Takes the next bytes and calls `event` with the `data` of each event that ended; it is gone after the call.
    ///
    /// - Returns: false where an event grew beyond ``maximumEventBytes``.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer, event: (UnsafeRawBufferPointer) -> Void) -> Bool {
        if pending.isEmpty {
            let taken = Self.cut(bytes, searched: 0, event)
            if taken < bytes.count { pending.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[taken...])) }
        } else {
            pending.append(contentsOf: bytes)
            let from = searched
            let taken = pending.withUnsafeBytes { Self.cut($0, searched: from, event) }
            pending.removeFirst(taken)
        }
        searched = pending.count
        return pending.count <= Self.maximumEventBytes
    }

    /// Calls `event` with the data of each whole event.
    ///
    /// - Returns: the offset behind the last one.
    private static func cut(
        _ bytes: UnsafeRawBufferPointer, searched: Int, _ event: (UnsafeRawBufferPointer) -> Void
    ) -> Int {
        var start = 0
        var lines = searched > 0 ? 2 : 0
        var index = searched
        while true {
            index = ByteBlock.firstIndex(of: 0x0A, in: bytes, from: index)
            guard index < bytes.count else { return start }
            lines &+= 1
            if endsEmptyLine(bytes, start, index) {
                let lineFeed = index
                index &+= 1
                // What a token comes as: one line, and the empty one.
                if lines == 2, let data = value(bytes, start, lineFeed &- (bytes[lineFeed &- 1] == 0x0A ? 1 : 2)) {
                    event(UnsafeRawBufferPointer(rebasing: bytes[data]))
                } else if lines > 2 {
                    joinData(bytes, start..<index, event)
                }
                start = index
                lines = 0
            } else {
                index &+= 1
            }
        }
    }

    /// Whether the line that a line feed ends is empty.
    @inline(__always)
    private static func endsEmptyLine(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ lineFeed: Int) -> Bool {
        if lineFeed == start || bytes[lineFeed &- 1] == 0x0A { return true }
        return bytes[lineFeed &- 1] == 0x0D && (lineFeed &- 1 == start || bytes[lineFeed &- 2] == 0x0A)
    }

    /// The value of a `data:` line whose line feed is at `end`; nil for other lines.
    @inline(__always)
    private static func value(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Range<Int>? {
        var stop = end
        if stop > start, bytes[stop &- 1] == 0x0D { stop &-= 1 }
        guard stop &- start >= 5, ByteBlock.isEqual(bytes, start, "data:") else { return nil }
        let first = stop &- start > 5 && bytes[start &+ 5] == 0x20 ? start &+ 6 : start &+ 5
        return first..<stop
    }

    /// Calls `event` with the `data:` lines of one event joined by line feeds; not for comments and events without data.
    private static func joinData(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ event: (UnsafeRawBufferPointer) -> Void
    ) {
        var single: Range<Int>?
        var joined: [UInt8] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = ByteBlock.firstIndex(of: 0x0A, in: bytes, from: start)
            if let line = value(bytes, start, end) {
                if let first = single {
                    if joined.isEmpty { joined.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[first])) }
                    joined.append(0x0A)
                    joined.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[line]))
                } else {
                    single = line
                }
            }
            start = end + 1
        }
        guard let single else { return }
        if joined.isEmpty { return event(UnsafeRawBufferPointer(rebasing: bytes[single])) }
        joined.withUnsafeBytes { event($0) }
    }
}
