/// A value inside a checked JSON text: looked up by scanning, decoded only when asked.
///
/// The text is checked once, when the view is made; lookups after that cannot fail on syntax. For the small texts of
/// the control plane and of engine answers; the data plane splices with ``JSONMemberTable``.
package struct JSONView: Sendable {
    /// What a value is.
    package enum Kind: Sendable { case object, array, string, number, bool, null }

    private let text: [UInt8]
    /// Where the value stands in the text it was parsed from, in bytes.
    package let range: Range<Int>

    /// Checks a whole text.
    ///
    /// - Throws: ``JSONSyntaxError`` where the text is not one JSON value with optional white space around it.
    package init(parsing text: [UInt8]) throws(JSONSyntaxError) {
        var failure: JSONSyntaxError?
        let range = text.withUnsafeBytes { bytes -> Range<Int> in
            do throws(JSONSyntaxError) {
                let start = JSONScanner.skipWhitespace(bytes, 0)
                let end = try JSONScanner.skipValue(bytes, start)
                guard JSONScanner.skipWhitespace(bytes, end) == bytes.count else {
                    throw JSONSyntaxError(reason: "text after the value", offset: end)
                }
                return start..<end
            } catch {
                failure = error
                return 0..<0
            }
        }
        if let failure { throw failure }
        self.text = text
        self.range = range
    }

    /// Checks a whole text given as a string.
    package init(parsing text: String) throws(JSONSyntaxError) { try self.init(parsing: Array(text.utf8)) }

    private init(text: [UInt8], range: Range<Int>) {
        self.text = text
        self.range = range
    }

    /// The value's own bytes.
    package var raw: ArraySlice<UInt8> { text[range] }

    /// The value's own bytes as text.
    package var rawString: String { String(decoding: raw, as: UTF8.self) }

    /// What the value is.
    package var kind: Kind {
        switch text[range.lowerBound] {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// Whether the value is `null`.
    package var isNull: Bool { kind == .null }

    /// The member of that name; the last one where a name is given twice, as Python reads it. Nil for other kinds.
    package subscript(name: String) -> JSONView? {
        var found: JSONView?
        forEachMember { key, value in
            if key == name { found = value }
        }
        return found
    }

    /// The array's element at that index, nil where there is none.
    package subscript(index: Int) -> JSONView? {
        let elements = elements
        return elements.indices.contains(index) ? elements[index] : nil
    }

    /// The array's elements; empty for other kinds.
    package var elements: [JSONView] {
        guard kind == .array else { return [] }
        var result: [JSONView] = []
        text.withUnsafeBytes { bytes in
            var index = JSONScanner.skipWhitespace(bytes, range.lowerBound + 1)
            while index < range.upperBound - 1, let end = try? JSONScanner.skipValue(bytes, index) {
                result.append(JSONView(text: text, range: index..<end))
                index = JSONScanner.skipWhitespace(bytes, end)
                guard index < range.upperBound, bytes[index] == UInt8(ascii: ",") else { break }
                index = JSONScanner.skipWhitespace(bytes, index + 1)
            }
        }
        return result
    }

    /// Calls `body` with each member of an object, in the text's order; does nothing for other kinds.
    package func forEachMember(_ body: (String, JSONView) -> Void) {
        guard kind == .object else { return }
        text.withUnsafeBytes { bytes in
            var index = JSONScanner.skipWhitespace(bytes, range.lowerBound + 1)
            while index < range.upperBound - 1, let nameEnd = try? JSONScanner.skipString(bytes, index),
                let colon = try? JSONScanner.skipKey(bytes, index)
            {
                let start = JSONScanner.skipWhitespace(bytes, colon)
                guard let end = try? JSONScanner.skipValue(bytes, start) else { return }
                body(JSONString.decode(bytes, index..<nameEnd), JSONView(text: text, range: start..<end))
                index = JSONScanner.skipWhitespace(bytes, end)
                guard index < range.upperBound, bytes[index] == UInt8(ascii: ",") else { return }
                index = JSONScanner.skipWhitespace(bytes, index + 1)
            }
        }
    }

    /// The string's text, nil for other kinds. Lone surrogates become U+FFFD.
    package var string: String? {
        guard kind == .string else { return nil }
        return text.withUnsafeBytes { JSONString.decode($0, range) }
    }

    /// The number where it is written as an integer that fits, else nil.
    package var int: Int? { kind == .number ? Int(rawString) : nil }

    /// The number, nil for other kinds.
    package var double: Double? { kind == .number ? Double(rawString) : nil }

    /// The truth value, nil for other kinds.
    package var bool: Bool? { kind == .bool ? text[range.lowerBound] == UInt8(ascii: "t") : nil }
}
