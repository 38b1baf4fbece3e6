@testable import DisaggCore

/// The plain walk over JSON, byte by byte: what ``JSONScanner`` must agree with, errors and their offsets included.
enum PlainJSONScanner {
    /// Skips spaces, tabs and line ends.
    static func skipWhitespace(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { break }
            index += 1
        }
        return index
    }

    /// Skips one value of any kind that starts exactly at `start`.
    ///
    /// - Returns: the offset after the value.
    static func skipValue(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        guard start < bytes.count else { throw JSONSyntaxError(reason: "a value is missing", offset: start) }
        switch bytes[start] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): return try skipContainer(bytes, start)
        default: return try skipScalar(bytes, start)
        }
    }

    /// Skips a string whose opening quote is at `start`.
    static func skipString(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var index = start + 1
        while true {
            guard index < bytes.count else {
                throw JSONSyntaxError(reason: "a string has no closing quote", offset: start)
            }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { return index + 1 }
            if byte < 0x20 { throw JSONSyntaxError(reason: "a string holds a raw control character", offset: index) }
            if byte == UInt8(ascii: "\\") {
                index = try skipEscape(bytes, index)
            } else {
                index += 1
            }
        }
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

    private static func skipScalar(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
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
        for index in 0..<length where bytes[start + index] != literal.utf8Start[index] {
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

    /// Objects and arrays without recursion: one bit a level says which of the two is open.
    private static func skipContainer(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var index = start
        var depth = 0
        var objectBits: (UInt64, UInt64) = (0, 0)
        func push(object: Bool) throws(JSONSyntaxError) {
            guard depth < JSONScanner.maximumDepth else {
                throw JSONSyntaxError(reason: "nested too deeply", offset: index)
            }
            let bit = UInt64(1) << UInt64(depth & 63)
            if depth < 64 {
                objectBits.0 = object ? objectBits.0 | bit : objectBits.0 & ~bit
            } else {
                objectBits.1 = object ? objectBits.1 | bit : objectBits.1 & ~bit
            }
            depth += 1
        }
        func inObject() -> Bool {
            let level = depth - 1
            return ((level < 64 ? objectBits.0 : objectBits.1) >> UInt64(level & 63)) & 1 == 1
        }
        while true {
            // Here a value is due at `index`.
            index = skipWhitespace(bytes, index)
            guard index < bytes.count else { throw JSONSyntaxError(reason: "a value is missing", offset: index) }
            let byte = bytes[index]
            var opened = false
            if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
                let object = byte == UInt8(ascii: "{")
                try push(object: object)
                index = skipWhitespace(bytes, index + 1)
                guard index < bytes.count else { throw unclosed(object, start) }
                if bytes[index] == (object ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    index += 1
                    depth -= 1
                    if depth == 0 { return index }
                } else {
                    opened = true
                    if object { index = try skipKey(bytes, index) }
                }
            } else {
                index = try skipScalar(bytes, index)
            }
            if opened { continue }
            // A value has ended: a comma, or the end of one or more containers.
            while true {
                let object = inObject()
                index = skipWhitespace(bytes, index)
                guard index < bytes.count else { throw unclosed(object, start) }
                if bytes[index] == UInt8(ascii: ",") {
                    index = skipWhitespace(bytes, index + 1)
                    if object { index = try skipKey(bytes, index) }
                    break
                }
                guard bytes[index] == (object ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw JSONSyntaxError(reason: "expected a comma or a closing bracket", offset: index)
                }
                index += 1
                depth -= 1
                if depth == 0 { return index }
            }
        }
    }

    private static func unclosed(_ object: Bool, _ start: Int) -> JSONSyntaxError {
        JSONSyntaxError(reason: object ? "an object is not closed" : "an array is not closed", offset: start)
    }

    /// Skips `"key" :` and the space around it.
    static func skipKey(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else {
            throw JSONSyntaxError(reason: "expected a member name in double quotes", offset: start)
        }
        let index = skipWhitespace(bytes, try skipString(bytes, start))
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") else {
            throw JSONSyntaxError(reason: "expected a colon after a member name", offset: index)
        }
        return index + 1
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
    }
}
