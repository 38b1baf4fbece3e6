/// The syntax of header fields, which requests and answers share. Never traps, allocates nothing.
///
/// Source of the rules: RFC 9110 §5, RFC 9112 §5.
package enum HTTPFieldSyntax {
    /// What the bytes at the start of a field line are.
    package enum Reading: Sendable, Equatable {
        /// The line has no end yet; what there is may be a field.
        case needsMore
        case field(ScannedField, next: Int)
        case malformed(String)
    }

    // Shared by the readers, so that a fault has one wording.
    static let bareLineFeed = "a line feed without a carriage return"
    static let bareCarriageReturn = "a carriage return without a line feed"

    /// Reads the field line that starts at `start`, with its end.
    ///
    /// - Parameter searchedFrom: the name goes on here, for an earlier call saw no colon before; `start` or less otherwise.
    @inline(__always)
    package static func readField(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, searchedFrom: Int = 0
    ) -> Reading {
        var colon = max(start, searchedFrom)
        while colon < bytes.count, isTokenCharacter(bytes[colon]) { colon += 1 }
        guard colon < bytes.count else { return .needsMore }
        guard bytes[colon] == UInt8(ascii: ":"), colon > start else {
            return .malformed(faultOfName(bytes, start, colon))
        }
        let stop = firstControl(bytes, colon + 1)
        guard stop < bytes.count else { return .needsMore }
        guard bytes[stop] == 0x0D else {
            return .malformed(bytes[stop] == 0x0A ? bareLineFeed : "a control character in a header field")
        }
        guard stop + 1 < bytes.count else { return .needsMore }
        guard bytes[stop + 1] == 0x0A else { return .malformed(bareCarriageReturn) }
        return .field(.init(name: start..<colon, value: trimmed(bytes, colon + 1, stop)), next: stop + 2)
    }

    private static func faultOfName(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ fault: Int) -> String {
        switch bytes[fault] {
        // Both are ways to hide a field from one of two readers (RFC 9112 §5.1, §5.2).
        case 0x20, 0x09: fault == start ? "a folded header field" : "white space in or behind a header field's name"
        case 0x0A: bareLineFeed
        case 0x0D: "a header field without a colon"
        case UInt8(ascii: ":"): "a header field without a name"
        default: "a header field's name with a character that names do not have"
        }
    }

    /// Offset of the first control character other than the tab, `bytes.count` where there is none.
    @inline(__always)
    package static func firstControl(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        while index &+ ByteBlock.count <= bytes.count {
            let block = ByteBlock.load(bytes, index)
            let control = ByteBlock.below(block, 0x20) .& .!ByteBlock.equal(block, 0x09)
            let lane = ByteBlock.first(control .| ByteBlock.equal(block, 0x7F))
            index &+= lane
            if lane < ByteBlock.count { return index }
        }
        while index < bytes.count {
            let byte = bytes[index]
            if (byte < 0x20 && byte != 0x09) || byte == 0x7F { return index }
            index &+= 1
        }
        return index
    }

    /// Whether a byte may be in a token: a method or the name of a field (RFC 9110 §5.6.2).
    @inline(__always)
    package static func isTokenCharacter(_ byte: UInt8) -> Bool {
        // One bit for each of the 128 ASCII characters: digits, letters and !#$%&'*+-.^_`|~.
        let set: UInt64 = byte < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
        return byte < 128 && (set &>> UInt64(byte)) & 1 == 1
    }

    /// A range without the spaces and tabs around it.
    @inline(__always)
    static func trimmed(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ stop: Int) -> Range<Int> {
        var first = start
        var last = stop
        while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
        while last > first, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
        return first..<last
    }

    /// The value of a `Content-Length`: digits only; nil where it is none or has more than 15 digits.
    package static func parseLength(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty, range.count <= 15 else { return nil }
        var value = 0
        for index in range {
            guard JSONScanner.isDigit(bytes[index]) else { return nil }
            value = value * 10 + Int(bytes[index]) - 0x30
        }
        return value
    }

    /// Whether a range equals a text of lower-case letters, digits and hyphens, upper case folded.
    @inline(__always)
    package static func equals(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard range.count == count else { return false }
        let expected = UnsafeRawPointer(text.utf8Start)
        var offset = 0
        // Letters have bit 0x40, digits and hyphens have not: only there may bit 0x20, that of the case, differ.
        while offset &+ 8 <= count {
            let found = bytes.loadUnaligned(fromByteOffset: range.lowerBound &+ offset, as: UInt64.self)
            let wanted = expected.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if (found ^ wanted) & ~((wanted & 0x4040_4040_4040_4040) &>> 1) != 0 { return false }
            offset &+= 8
        }
        while offset < count {
            let wanted = text.utf8Start[offset]
            if (bytes[range.lowerBound &+ offset] ^ wanted) & ~((wanted & 0x40) &>> 1) != 0 { return false }
            offset &+= 1
        }
        return true
    }

    /// Whether a comma-separated list holds a lower-case token.
    package static func containsToken(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ token: StaticString
    ) -> Bool {
        contains(bytes, range) { equals(bytes, $0, token) }
    }

    /// Whether an element of a comma-separated list, without the white space around it, is what is looked for.
    @inline(__always)
    static func contains(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, where isWanted: (Range<Int>) -> Bool
    ) -> Bool {
        var start = range.lowerBound
        while start < range.upperBound {
            var stop = start
            while stop < range.upperBound, bytes[stop] != UInt8(ascii: ",") { stop += 1 }
            if isWanted(trimmed(bytes, start, stop)) { return true }
            start = stop + 1
        }
        return false
    }
}
