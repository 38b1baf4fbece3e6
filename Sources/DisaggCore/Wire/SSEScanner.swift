/// Cuts a server-sent event stream into events, wherever the network split it.
///
/// An event ends with an empty line; `\n` and `\r\n` line ends are accepted (WHATWG HTML §9.2.6).
package struct SSEScanner: Sendable {
    /// Largest event that is buffered, in bytes.
    package static let maximumEventBytes = 16 << 20

    private var pending: [UInt8] = []
    private var searched = 0

    /// A scanner at the start of a stream.
    package init() {}

    /// Takes the next bytes and calls `event` with the `data` of each event that ended.
    ///
    /// - Returns: false where an event grew beyond ``maximumEventBytes``.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer, event: ([UInt8]) -> Void) -> Bool {
        pending.append(contentsOf: bytes)
        var start = 0
        var index = max(searched, 1)
        while index < pending.count {
            if pending[index] == 0x0A,
                pending[index - 1] == 0x0A
                    || (index >= start + 3 && pending[index - 1] == 0x0D && pending[index - 2] == 0x0A), index > start
            {
                if let data = Self.data(of: pending[start...index]) { event(data) }
                start = index + 1
                index = start + 1
            } else {
                index += 1
            }
        }
        if start > 0 { pending.removeFirst(start) }
        searched = max(0, pending.count - 1)
        return pending.count <= Self.maximumEventBytes
    }

    /// The `data:` lines of one event joined by line feeds; nil for comments and events without data.
    private static func data(of event: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8]?
        for line in event.split(separator: 0x0A) {
            var line = line
            if line.last == 0x0D { line = line.dropLast() }
            guard line.starts(with: "data:".utf8) else { continue }
            line = line.dropFirst(5)
            if line.first == 0x20 { line = line.dropFirst() }
            if result == nil {
                result = Array(line)
            } else {
                result?.append(0x0A)
                result?.append(contentsOf: line)
            }
        }
        return result
    }
}
