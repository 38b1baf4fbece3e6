package import NIOCore

/// Where the top-level members of a JSON object stand: one scan of a request body, then lookups and splices by offset.
///
/// Nothing is decoded or copied. Where a name is given twice the last one counts, as Python reads it, and a splice that
/// replaces or removes a name touches every occurrence.
package struct JSONMemberTable: Sendable {
    struct Member: Sendable {
        /// The name with its quotes.
        var name: Range<Int>
        var value: Range<Int>
        var nameHasEscapes: Bool
    }

    /// Members that are accepted. Every member costs memory and each lookup visits all of them; no request needs a hundred.
    package static let maximumMembers = 1_024

    private(set) var members: [Member] = []
    /// Offset of the object's opening brace.
    private(set) var open = 0
    /// Offset of the object's closing brace.
    private(set) var close = 0

    /// No members.
    package init() {}

    /// Scans a whole body.
    ///
    /// - Throws: ``JSONSyntaxError`` where the body is not one JSON object with optional white space around it.
    package init(scanning bytes: UnsafeRawBufferPointer) throws(JSONSyntaxError) {
        var index = JSONScanner.skipWhitespace(bytes, 0)
        guard index < bytes.count, bytes[index] == UInt8(ascii: "{") else {
            throw JSONSyntaxError(reason: "expected a JSON object", offset: index)
        }
        open = index
        members.reserveCapacity(12)
        index = JSONScanner.skipWhitespace(bytes, index + 1)
        if index < bytes.count, bytes[index] == UInt8(ascii: "}") {
            close = index
        } else {
            while true {
                guard members.count < Self.maximumMembers else {
                    throw JSONSyntaxError(reason: "too many members", offset: index)
                }
                let nameStart = index
                let colonEnd = try JSONScanner.skipKey(bytes, index)
                var nameEnd = colonEnd - 1
                while bytes[nameEnd - 1] != UInt8(ascii: "\"") { nameEnd -= 1 }
                let valueStart = JSONScanner.skipWhitespace(bytes, colonEnd)
                let valueEnd = try JSONScanner.skipValue(bytes, valueStart)
                members.append(
                    Member(
                        name: nameStart..<nameEnd, value: valueStart..<valueEnd,
                        nameHasEscapes: bytes[nameStart..<nameEnd].contains(UInt8(ascii: "\\"))))
                index = JSONScanner.skipWhitespace(bytes, valueEnd)
                guard index < bytes.count else {
                    throw JSONSyntaxError(reason: "an object is not closed", offset: open)
                }
                if bytes[index] == UInt8(ascii: "}") {
                    close = index
                    break
                }
                guard bytes[index] == UInt8(ascii: ",") else {
                    throw JSONSyntaxError(reason: "expected a comma or a closing bracket", offset: index)
                }
                index = JSONScanner.skipWhitespace(bytes, index + 1)
            }
        }
        guard JSONScanner.skipWhitespace(bytes, close + 1) == bytes.count else {
            throw JSONSyntaxError(reason: "text after the value", offset: close + 1)
        }
    }

    /// Scans the readable bytes of a buffer; offsets count from its reader index.
    package init(scanning buffer: ByteBuffer) throws(JSONSyntaxError) {
        var result: Result<JSONMemberTable, JSONSyntaxError>?
        buffer.withUnsafeReadableBytes { bytes in
            do throws(JSONSyntaxError) {
                result = .success(try JSONMemberTable(scanning: bytes))
            } catch {
                result = .failure(error)
            }
        }
        guard let result else { throw JSONSyntaxError(reason: "expected a JSON object", offset: 0) }
        self = try result.get()
    }

    /// The value of the last member of that name, as an offset range.
    package func value(of name: StaticString, in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        for member in members.reversed() where Self.matches(member, name, bytes) {
            return member.value
        }
        return nil
    }

    /// Whether a member's name is `name`, escapes decoded.
    static func matches(_ member: Member, _ name: StaticString, _ bytes: UnsafeRawBufferPointer) -> Bool {
        if member.nameHasEscapes {
            return JSONString.decode(bytes, member.name) == "\(name)"
        }
        let count = name.utf8CodeUnitCount
        guard member.name.count == count + 2 else { return false }
        let first = member.name.lowerBound + 1
        let expected = UnsafeBufferPointer(start: name.utf8Start, count: count)
        for offset in 0..<count where bytes[first + offset] != expected[offset] { return false }
        return true
    }
}
