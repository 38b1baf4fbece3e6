/// Where a JSON text stops being JSON.
package struct JSONSyntaxError: Error, Equatable {
    /// What was found or missing, in lower case.
    package var reason: StaticString
    /// Offset in bytes from the start of the text.
    package var offset: Int

    package static func == (left: Self, right: Self) -> Bool {
        left.offset == right.offset && "\(left.reason)" == "\(right.reason)"
    }
}

/// A strict, allocation-free JSON walker: it finds where values end and judges their syntax, and decodes nothing.
///
/// It follows RFC 8259 and never traps: every index is checked against the text's length, and nesting is bounded by
/// ``maximumDepth``. Strings and lists of integers are skipped 16 bytes at a time: a prompt is one of them.
package enum JSONScanner {
    /// Deepest nesting that is accepted. Python's own parser stops near 1,000; no request needs a hundred.
    package static let maximumDepth = 120

    /// Skips spaces, tabs and line ends.
    @inline(__always)
    package static func skipWhitespace(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            // Mostly there is none: one comparison tells.
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { break }
            index &+= 1
        }
        return index
    }

    /// Skips one value of any kind that starts exactly at `start`.
    ///
    /// - Returns: the offset after the value.
    package static func skipValue(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        guard start < bytes.count else { throw JSONSyntaxError(reason: "a value is missing", offset: start) }
        switch bytes[start] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): return try skipContainer(bytes, start)
        default: return try skipScalar(bytes, start)
        }
    }

    /// Skips a string whose opening quote is at `start`.
    package static func skipString(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var hasEscapes = false
        return try skipString(bytes, start, &hasEscapes)
    }

    private static func skipString(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ hasEscapes: inout Bool
    ) throws(JSONSyntaxError) -> Int {
        var index = start + 1
        while true {
            index = skipPlain(bytes, index)
            guard index < bytes.count else {
                throw JSONSyntaxError(reason: "a string has no closing quote", offset: start)
            }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { return index + 1 }
            if byte < 0x20 { throw JSONSyntaxError(reason: "a string holds a raw control character", offset: index) }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                // The most common escape by far.
                let isLineEnd = index + 1 < bytes.count && bytes[index + 1] == UInt8(ascii: "n")
                index = isLineEnd ? index + 2 : try skipEscape(bytes, index)
            } else {
                index += 1
            }
        }
    }

    /// Skips what stands for itself in a string, as far as there are whole blocks of bytes.
    ///
    /// Most strings are names and end in the first block; in a long one four blocks are looked at together.
    @inline(__always)
    private static func skipPlain(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        guard index &+ ByteBlock.count <= bytes.count else { return index }
        var lane = ByteBlock.first(notPlain(bytes, index))
        guard lane == ByteBlock.count else { return index &+ lane }
        index &+= lane
        while index &+ 4 &* ByteBlock.count <= bytes.count {
            let left = notPlain(bytes, index) .| notPlain(bytes, index &+ 16)
            let right = notPlain(bytes, index &+ 32) .| notPlain(bytes, index &+ 48)
            if ByteBlock.isAny(left .| right) { break }
            index &+= 4 &* ByteBlock.count
        }
        while index &+ ByteBlock.count <= bytes.count, lane == ByteBlock.count {
            lane = ByteBlock.first(notPlain(bytes, index))
            index &+= lane
        }
        return index
    }

    /// The lanes of a block that do not stand for themselves in a string: quote, backslash and control characters.
    @inline(__always)
    private static func notPlain(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> ByteBlock.Mask {
        let block = ByteBlock.load(bytes, offset)
        // With bit 1 turned over the quote follows the control characters, and nothing else joins them.
        return ByteBlock.below(block ^ ByteBlock.Lanes(repeating: 2), 0x21)
            .| ByteBlock.equal(block, UInt8(ascii: "\\"))
    }

    private static func skipEscape(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        guard start + 1 < bytes.count else {
            throw JSONSyntaxError(reason: "a string ends inside an escape", offset: start)
        }
        switch bytes[start + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return start + 2
        case UInt8(ascii: "u"):
            guard start + 6 <= bytes.count, (2..<6).allSatisfy({ isHexDigit(bytes[start + $0]) }) else {
                throw JSONSyntaxError(reason: "\\u needs four hexadecimal digits", offset: start)
            }
            return start + 6
        default:
            throw JSONSyntaxError(reason: "unknown escape in a string", offset: start)
        }
    }

    static func skipScalar(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        switch bytes[start] {
        case UInt8(ascii: "\""): return try skipString(bytes, start)
        case UInt8(ascii: "t"): return try skipLiteral("true", bytes, start)
        case UInt8(ascii: "f"): return try skipLiteral("false", bytes, start)
        case UInt8(ascii: "n"): return try skipLiteral("null", bytes, start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try skipNumber(bytes, start)
        default: throw JSONSyntaxError(reason: "expected a value", offset: start)
        }
    }

    private static func skipLiteral(
        _ literal: StaticString, _ bytes: UnsafeRawBufferPointer, _ start: Int
    ) throws(JSONSyntaxError) -> Int {
        let length = literal.utf8CodeUnitCount
        guard start + length <= bytes.count else { throw JSONSyntaxError(reason: "expected a value", offset: start) }
        guard ByteBlock.isEqual(bytes, start, literal) else {
            throw JSONSyntaxError(reason: "expected a value", offset: start)
        }
        return start + length
    }

    private static func skipNumber(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var index = start
        func digits() -> Int {
            let first = index
            while index < bytes.count, isDigit(bytes[index]) { index += 1 }
            return index - first
        }
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        let firstDigit = index
        let count = digits()
        guard count == 1 || (count > 1 && bytes[firstDigit] != UInt8(ascii: "0")) else {
            throw JSONSyntaxError(reason: "malformed number", offset: start)
        }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard digits() > 0 else { throw JSONSyntaxError(reason: "malformed number", offset: start) }
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            guard digits() > 0 else { throw JSONSyntaxError(reason: "malformed number", offset: start) }
        }
        return index
    }

    /// Skips `"key" :` and the space around it.
    package static func skipKey(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var hasEscapes = false
        return try skipColon(bytes, try skipName(bytes, start, &hasEscapes))
    }

    /// Skips the string that names a member.
    @inline(__always)
    static func skipName(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ hasEscapes: inout Bool
    ) throws(JSONSyntaxError) -> Int {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else {
            throw JSONSyntaxError(reason: "expected a member name in double quotes", offset: start)
        }
        return try skipString(bytes, start, &hasEscapes)
    }

    /// Skips the colon behind a name and the space ahead of it.
    @inline(__always)
    static func skipColon(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        let index = skipWhitespace(bytes, start)
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") else {
            throw JSONSyntaxError(reason: "expected a colon after a member name", offset: index)
        }
        return index + 1
    }

    /// The integer that a checked value is; nil where it is none or does not fit.
    package static func integer(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        var index = range.lowerBound
        let isNegative = index < range.upperBound && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        guard index < range.upperBound else { return nil }
        var value = 0
        while index < range.upperBound {
            guard isDigit(bytes[index]) else { return nil }
            let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
            let digit = Int(bytes[index]) - 0x30
            let (sum, carried) =
                isNegative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            guard !overflowed, !carried else { return nil }
            value = sum
            index += 1
        }
        return value
    }

    @inline(__always)
    package static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
    }
}
