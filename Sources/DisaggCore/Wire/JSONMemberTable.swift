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
        var cursor = JSONCursor(bytes)
        open = cursor.index
        guard cursor.openObject() else { throw JSONSyntaxError(reason: "expected a JSON object", offset: open) }
        members.reserveCapacity(12)
        while let name = try cursor.nextName(in: open) {
            guard members.count < Self.maximumMembers else {
                throw JSONSyntaxError(reason: "too many members", offset: name.range.lowerBound)
            }
            members.append(
                Member(name: name.range, value: try cursor.skipValue(), nameHasEscapes: name.hasEscapes))
        }
        close = cursor.index - 1
        try cursor.finish()
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
        var index = members.count
        while index > 0 {
            index -= 1
            if Self.matches(members[index], name, bytes) { return members[index].value }
        }
        return nil
    }

    /// Whether a member's name is `name`, escapes decoded.
    @inline(__always)
    static func matches(_ member: Member, _ name: StaticString, _ bytes: UnsafeRawBufferPointer) -> Bool {
        JSONString.isEqual(bytes, member.name, hasEscapes: member.nameHasEscapes, name)
    }
}
