/// Reads a JSON text from front to back and checks it on its way: member by member where that is asked for, whole values at
/// once elsewhere. So every byte is looked at once, however deep the members stand that are wanted.
///
/// Allocates nothing and never traps. What was read before an error is thrown is not to be relied on.
package struct JSONCursor {
    /// A member's name.
    package struct Name {
        /// The name with its quotes.
        package let range: Range<Int>
        let hasEscapes: Bool
        fileprivate let bytes: UnsafeRawBufferPointer

        /// Whether the name, escapes decoded, is `name`.
        @inline(__always)
        package func `is`(_ name: StaticString) -> Bool {
            JSONString.isEqual(bytes, range, hasEscapes: hasEscapes, name)
        }
    }

    package let bytes: UnsafeRawBufferPointer
    /// Offset of the value that is due.
    package private(set) var index: Int
    /// Whether an object or array was opened and nothing in it has been read.
    private var isFirst = false

    /// A cursor at a text's value.
    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        index = JSONScanner.skipWhitespace(bytes, 0)
    }

    /// Whether the value that is due begins with that byte.
    @inline(__always)
    package func isAt(_ byte: UInt8) -> Bool { index < bytes.count && bytes[index] == byte }

    /// Reads the members of a text that must be one object.
    ///
    /// - Parameter read: reads the value of a member.
    /// - Returns: false where the text is something else, or no JSON: what was read of it then is not to be relied on.
    @inline(__always)
    package static func readMembers(
        of bytes: UnsafeRawBufferPointer, _ read: (Name, inout JSONCursor) throws(JSONSyntaxError) -> Void
    ) -> Bool {
        var cursor = JSONCursor(bytes)
        guard cursor.openObject() else { return false }
        do throws(JSONSyntaxError) {
            while let name = try cursor.nextName() { try read(name, &cursor) }
            try cursor.finish()
            return true
        } catch {
            return false
        }
    }

    /// Goes into the object that is due; false, with nothing read, where the value is something else.
    package mutating func openObject() -> Bool { open(UInt8(ascii: "{")) }

    /// Goes into the array that is due; false, with nothing read, where the value is something else.
    package mutating func openArray() -> Bool { open(UInt8(ascii: "[")) }

    private mutating func open(_ bracket: UInt8) -> Bool {
        guard isAt(bracket) else { return false }
        index &+= 1
        isFirst = true
        return true
    }

    /// Goes to the value of the open object's next member, the last one having been read.
    ///
    /// - Parameter open: offset of the object, for an error's sake.
    /// - Returns: the member's name; nil where there is no further one: then the cursor is behind the object.
    package mutating func nextName(in open: Int = 0) throws(JSONSyntaxError) -> Name? {
        guard try nextItem(UInt8(ascii: "}"), open, "an object is not closed") else { return nil }
        let start = index
        var hasEscapes = false
        let end = try JSONScanner.skipName(bytes, start, &hasEscapes)
        index = JSONScanner.skipWhitespace(bytes, try JSONScanner.skipColon(bytes, end))
        return Name(range: start..<end, hasEscapes: hasEscapes, bytes: bytes)
    }

    /// Goes to the open array's next element, the last one having been read.
    ///
    /// - Returns: false where there is no further one: then the cursor is behind the array.
    package mutating func nextElement() throws(JSONSyntaxError) -> Bool {
        try nextItem(UInt8(ascii: "]"), index, "an array is not closed")
    }

    @inline(__always)
    private mutating func nextItem(
        _ bracket: UInt8, _ open: Int, _ unclosed: StaticString
    ) throws(JSONSyntaxError) -> Bool {
        index = JSONScanner.skipWhitespace(bytes, index)
        let follows = !isFirst
        isFirst = false
        if isAt(bracket) {
            index &+= 1
            return false
        }
        if follows {
            guard index < bytes.count else { throw JSONSyntaxError(reason: unclosed, offset: open) }
            guard bytes[index] == UInt8(ascii: ",") else {
                throw JSONSyntaxError(reason: "expected a comma or a closing bracket", offset: index)
            }
            index = JSONScanner.skipWhitespace(bytes, index &+ 1)
        }
        return true
    }

    /// Reads the value that is due as a whole.
    @discardableResult
    package mutating func skipValue() throws(JSONSyntaxError) -> Range<Int> {
        let start = index
        index = try JSONScanner.skipValue(bytes, start)
        return start..<index
    }

    /// Makes sure that nothing but white space follows.
    package func finish() throws(JSONSyntaxError) {
        guard JSONScanner.skipWhitespace(bytes, index) == bytes.count else {
            throw JSONSyntaxError(reason: "text after the value", offset: index)
        }
    }
}
