/// Reading and writing JSON strings.
package enum JSONString {
    /// Decodes a checked string, quotes included in `range`.
    package static func decode(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> String {
        let inner = range.lowerBound + 1..<max(range.lowerBound + 1, range.upperBound - 1)
        guard bytes[inner].contains(UInt8(ascii: "\\")) else {
            return String(decoding: bytes[inner], as: UTF8.self)
        }
        var result: [UInt8] = []
        result.reserveCapacity(inner.count)
        var index = inner.lowerBound
        while index < inner.upperBound {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\\"), index + 1 < inner.upperBound else {
                result.append(byte)
                index += 1
                continue
            }
            let escape = bytes[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "u"):
                var unit = hex4(bytes, index, inner.upperBound)
                index += 4
                if unit >= 0xD800, unit < 0xDC00, index + 6 <= inner.upperBound, bytes[index] == UInt8(ascii: "\\"),
                    bytes[index + 1] == UInt8(ascii: "u")
                {
                    let low = hex4(bytes, index + 2, inner.upperBound)
                    if low >= 0xDC00, low < 0xE000 {
                        unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
                        index += 6
                    }
                }
                let scalar = Unicode.Scalar(unit) ?? "\u{FFFD}"
                result.append(contentsOf: Array(String(Character(scalar)).utf8))
            default: result.append(escape)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Whether a checked string, quotes included in `range`, is `text` once its escapes are decoded.
    @inline(__always)
    static func isEqual(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, hasEscapes: Bool, _ text: StaticString
    ) -> Bool {
        if hasEscapes { return decode(bytes, range) == "\(text)" }
        return range.count == text.utf8CodeUnitCount &+ 2 && ByteBlock.isEqual(bytes, range.lowerBound &+ 1, text)
    }

    private static func hex4(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UInt32 {
        var value: UInt32 = 0
        for index in start..<min(start + 4, end) {
            let byte = bytes[index]
            let digit = JSONScanner.isDigit(byte) ? byte - 0x30 : (byte | 0x20) &- UInt8(ascii: "a") &+ 10
            value = value << 4 | UInt32(digit & 0xF)
        }
        return value
    }

    /// Appends a string with quotes and the escapes JSON demands; other characters stay UTF-8, as Python's orjson does.
    package static func append(_ string: some StringProtocol, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        forEachEscapedRun(String(string)) { output.append(contentsOf: $0) }
        output.append(UInt8(ascii: "\""))
    }

    /// Calls `body` with the bytes of a string between its quotes, from front to back: runs that need no escape, and
    /// escapes.
    static func forEachEscapedRun(_ string: String, _ body: (UnsafeRawBufferPointer) -> Void) {
        var string = string
        string.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            var start = 0
            for (index, byte) in bytes.enumerated()
            where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                if index > start { body(UnsafeRawBufferPointer(rebasing: bytes[start..<index])) }
                escape(byte, body)
                start = index + 1
            }
            if start < bytes.count { body(UnsafeRawBufferPointer(rebasing: bytes[start...])) }
        }
    }

    private static func escape(_ byte: UInt8, _ body: (UnsafeRawBufferPointer) -> Void) {
        let backslash = UInt8(ascii: "\\")
        let letter: UInt8
        switch byte {
        case UInt8(ascii: "\""), backslash: letter = byte
        case 0x0A: letter = UInt8(ascii: "n")
        case 0x0D: letter = UInt8(ascii: "r")
        case 0x09: letter = UInt8(ascii: "t")
        case 0x08: letter = UInt8(ascii: "b")
        case 0x0C: letter = UInt8(ascii: "f")
        default:
            // A control character: its code has two digits, and the first is 0 or 1.
            let low = byte & 15
            let digit = low < 10 ? 0x30 + low : 0x57 + low
            let zero = UInt8(ascii: "0")
            return withUnsafeBytes(of: (backslash, UInt8(ascii: "u"), zero, zero, zero + byte >> 4, digit)) { body($0) }
        }
        withUnsafeBytes(of: (backslash, letter)) { body($0) }
    }

    /// The string as JSON text, quotes included.
    package static func encode(_ string: some StringProtocol) -> String {
        var output: [UInt8] = []
        append(string, to: &output)
        return String(decoding: output, as: UTF8.self)
    }
}
