/// Where bytes stop being MessagePack.
package enum MessagePackError: Error, Equatable {
    /// The bytes end inside a value.
    case truncated
    /// The byte C1, which the format never uses.
    case reservedByte
    /// Arrays and maps are nested deeper than ``MessagePackReader/maximumDepth``.
    case tooDeep
    /// A string is not UTF-8.
    case invalidUTF8
}

/// Reads MessagePack from front to back; allocates nothing but the strings it returns.
///
/// It never traps: each length is checked against the bytes left, and values are skipped without recursion.
/// Source: `github.com/msgpack/msgpack/blob/master/spec.md`, "Formats".
package struct MessagePackReader: Sendable {
    /// Deepest nesting that is skipped.
    package static let maximumDepth = 32

    private enum Header: Equatable {
        case string(Int)
        /// Everything without elements: numbers, nil, booleans, binary and extensions, with the bytes that follow.
        case scalar(Int)
        case array(Int)
        case map(Int)
    }

    private let bytes: [UInt8]
    private var offset = 0

    /// Creates a reader at the first byte.
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Whether all bytes were read.
    package var isAtEnd: Bool { offset == bytes.count }

    /// Reads a map's head.
    ///
    /// - Returns: the number of pairs that follow; nil, with nothing read, where the next value is no map.
    package mutating func readMapHeader() throws(MessagePackError) -> Int? {
        let start = offset
        if case .map(let count) = try readHeader() { return count }
        offset = start
        return nil
    }

    /// Reads a string.
    ///
    /// - Returns: its text; nil, with nothing read, where the next value is no string.
    package mutating func readString() throws(MessagePackError) -> String? {
        guard let range = try readStringRange() else { return nil }
        return try text(range)
    }

    /// Reads a string and tells which of two expected ones it is, without making text of it.
    ///
    /// - Returns: 0 for the first, 1 for the second, -1 for any other string; nil, with nothing read, where the next value
    ///   is no string.
    package mutating func readString(
        among first: StaticString, _ second: StaticString
    ) throws(MessagePackError) -> Int? {
        guard let range = try readStringRange() else { return nil }
        if isEqual(range, first) { return 0 }
        if isEqual(range, second) { return 1 }
        _ = try text(range)
        return -1
    }

    /// Reads an integer.
    ///
    /// - Returns: its value; nil, with nothing read, where the next value is no integer or does not fit.
    package mutating func readInt() throws(MessagePackError) -> Int? {
        let start = offset
        guard start < bytes.count else { throw .truncated }
        let byte = bytes[start]
        guard byte <= 0x7F || byte >= 0xE0 || (0xCC...0xD3).contains(byte) else { return nil }
        guard case .scalar(let size) = try readHeader() else { return nil }
        try advance(size)
        guard size > 0 else { return Int(Int8(bitPattern: byte)) }
        let isSigned = byte >= 0xD0
        var value = isSigned && bytes[start + 1] >= 0x80 ? UInt64.max : 0
        for index in start + 1..<offset { value = value << 8 | UInt64(bytes[index]) }
        guard let number = isSigned ? Int(Int64(bitPattern: value)) : Int(exactly: value) else {
            offset = start
            return nil
        }
        return number
    }

    private func isEqual(_ range: Range<Int>, _ text: StaticString) -> Bool {
        range.count == text.utf8CodeUnitCount
            && bytes.withUnsafeBytes { ByteBlock.isEqual($0, range.lowerBound, text) }
    }

    private mutating func readStringRange() throws(MessagePackError) -> Range<Int>? {
        let start = offset
        guard case .string(let count) = try readHeader() else {
            offset = start
            return nil
        }
        let begin = offset
        try advance(count)
        return begin..<offset
    }

    private func text(_ range: Range<Int>) throws(MessagePackError) -> String {
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw .invalidUTF8 }
        return text
    }

    /// Skips one value with all that is inside it.
    package mutating func skipValue() throws(MessagePackError) {
        // Values still to come in each open container, outermost first.
        var remaining = [1]
        while let last = remaining.last {
            guard last > 0 else {
                remaining.removeLast()
                continue
            }
            remaining[remaining.count - 1] = last - 1
            switch try readHeader() {
            case .string(let count), .scalar(let count): try advance(count)
            case .array(let count): remaining.append(count)
            case .map(let count): remaining.append(2 * count)
            }
            if remaining.count > Self.maximumDepth + 1 { throw .tooDeep }
        }
    }

    private mutating func advance(_ count: Int) throws(MessagePackError) {
        guard count <= bytes.count - offset else { throw .truncated }
        offset += count
    }

    private mutating func readHeader() throws(MessagePackError) -> Header {
        let byte = Int(try readInteger(1))
        switch byte {
        case 0x00...0x7F, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: return .scalar(0)
        case 0x80...0x8F: return .map(byte & 0x0F)
        case 0x90...0x9F: return .array(byte & 0x0F)
        case 0xA0...0xBF: return .string(byte & 0x1F)
        case 0xC4...0xC6: return .scalar(try readInteger(1 << (byte - 0xC4)))
        // Extensions have a type byte before their data.
        case 0xC7...0xC9: return .scalar(try readInteger(1 << (byte - 0xC7)) + 1)
        case 0xCA: return .scalar(4)
        case 0xCB: return .scalar(8)
        case 0xCC...0xCF: return .scalar(1 << (byte - 0xCC))
        case 0xD0...0xD3: return .scalar(1 << (byte - 0xD0))
        case 0xD4...0xD8: return .scalar(1 << (byte - 0xD4) + 1)
        case 0xD9...0xDB: return .string(try readInteger(1 << (byte - 0xD9)))
        case 0xDC, 0xDD: return .array(try readInteger(2 << (byte - 0xDC)))
        case 0xDE, 0xDF: return .map(try readInteger(2 << (byte - 0xDE)))
        default: throw .reservedByte
        }
    }

    /// Reads a big-endian unsigned integer of 1, 2 or 4 bytes.
    private mutating func readInteger(_ size: Int) throws(MessagePackError) -> Int {
        let start = offset
        try advance(size)
        var value = 0
        for index in start..<offset { value = value << 8 | Int(bytes[index]) }
        return value
    }
}

/// Writes the MessagePack values that notifications consist of, each in its shortest form, as msgspec does.
package enum MessagePackWriter {
    /// Appends a map's head; `count` pairs must follow.
    package static func appendMapHeader(_ count: UInt8, to output: inout [UInt8]) {
        if count < 16 {
            output.append(0x80 | count)
        } else {
            output.append(contentsOf: [0xDE, 0, count])
        }
    }

    /// Appends an integer of 0 or more.
    package static func append(_ value: Int, to output: inout [UInt8]) {
        switch value {
        case ...0x7F: output.append(UInt8(truncatingIfNeeded: max(0, value)))
        case ...0xFFFF: output.append(contentsOf: [0xCD, UInt8(value >> 8), UInt8(value & 0xFF)])
        default:
            output.append(0xCF)
            for shift in stride(from: 56, through: 0, by: -8) {
                output.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
    }

    /// Appends a string.
    package static func append(_ string: String, to output: inout [UInt8]) {
        let text = Array(string.utf8)
        let size = UInt32(clamping: text.count)
        switch size {
        case 0..<32: output.append(0xA0 | UInt8(size))
        case 32..<256: output.append(contentsOf: [0xD9, UInt8(size)])
        case 256..<65_536: output.append(contentsOf: [0xDA, UInt8(size >> 8), UInt8(size & 0xFF)])
        default:
            output.append(0xDB)
            for shift in [24, 16, 8, 0] { output.append(UInt8(truncatingIfNeeded: size >> UInt32(shift))) }
        }
        output.append(contentsOf: text)
    }
}
