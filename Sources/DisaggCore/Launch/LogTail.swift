internal import Glibc

/// The end of a log file, ready to be shown.
package enum LogTail {
    /// Begins the line that the launcher writes into a log before each start of its process.
    package static let startMark = "=== disagg-launch: "

    /// The last lines that hold something; escape sequences and control characters are dropped.
    ///
    /// - Parameters:
    ///   - path: the file; one that cannot be read has no lines.
    ///   - count: how many lines.
    ///   - limit: how many bytes from the end are looked at.
    package static func lines(of path: String, count: Int, limit: Int = 64 << 10) -> [String] {
        Array(linesOfLastStart(of: path, limit: limit).suffix(count))
    }

    /// The lines since the process was last started, as far as they lie within the last bytes of the file.
    package static func linesOfLastStart(of path: String, limit: Int) -> [String] {
        let lines = bytes(of: path, limit: limit).map(clean).filter { !$0.isEmpty }
        guard let mark = lines.lastIndex(where: { $0.hasPrefix(startMark) }) else { return lines }
        return Array(lines[(mark + 1)...])
    }

    /// Whether the last bytes of a log go back to the start of its process, so that what is not in them was never written.
    package static func reachesStart(of path: String, limit: Int) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        let size = lseek(descriptor, 0, SEEK_END)
        close(descriptor)
        let isWhole = size <= limit && access("\(path).1", F_OK) != 0
        return isWhole || bytes(of: path, limit: limit).contains { $0.starts(with: startMark.utf8) }
    }

    /// The lines in the last bytes of a file, as they are.
    private static func bytes(of path: String, limit: Int) -> [ArraySlice<UInt8>] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        guard size > 0 else { return [] }
        let start = max(0, size - limit)
        var buffer = [UInt8](repeating: 0, count: size - start)
        let length = pread(descriptor, &buffer, buffer.count, start)
        guard length > 0 else { return [] }
        // Progress bars end their lines with a carriage return.
        return buffer[..<length].split { $0 == 0x0A || $0 == 0x0D }
    }

    /// The line's text without escape sequences and control characters.
    package static func clean(_ line: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var bytes = line.makeIterator()
        while let byte = bytes.next() {
            if byte == 0x1B {
                // CSI: everything up to a letter belongs to the sequence.
                guard bytes.next() == UInt8(ascii: "[") else { continue }
                while let part = bytes.next(), !(0x40...0x7E).contains(part) {}
            } else if byte == 0x09 {
                result.append(0x20)
            } else if byte >= 0x20, byte != 0x7F {
                result.append(byte)
            }
        }
        var text = String(decoding: result, as: UTF8.self)
        while text.last == " " { text.removeLast() }
        return text
    }
}
