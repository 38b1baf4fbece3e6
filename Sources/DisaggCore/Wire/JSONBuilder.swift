/// Writes JSON for the control plane: members and elements in the order they are added, commas and escapes by itself.
package struct JSONBuilder: Sendable {
    private var output: [UInt8] = []
    private var needsComma = false

    package init() {}

    /// An object as text.
    package static func object(_ body: (inout JSONBuilder) -> Void) -> [UInt8] {
        var builder = JSONBuilder()
        builder.nest("{", "}", body)
        return builder.output
    }

    // MARK: Members of an object

    package mutating func member(_ name: String, _ value: String?) {
        begin(name)
        if let value { JSONString.append(value, to: &output) } else { raw("null") }
    }

    package mutating func member(_ name: String, _ value: Int?) {
        begin(name)
        raw(value.map { String($0) } ?? "null")
    }

    /// A number; null where it is not finite, for JSON has no such numbers.
    package mutating func member(_ name: String, _ value: Double?) {
        begin(name)
        raw(value.flatMap { $0.isFinite ? "\($0)" : nil } ?? "null")
    }

    package mutating func member(_ name: String, _ value: Bool) {
        begin(name)
        raw(value ? "true" : "false")
    }

    /// A member that is an object.
    package mutating func object(_ name: String, _ body: (inout JSONBuilder) -> Void) {
        begin(name)
        nest("{", "}", body)
    }

    /// A member that is an array.
    package mutating func array(_ name: String, _ body: (inout JSONBuilder) -> Void) {
        begin(name)
        nest("[", "]", body)
    }

    // MARK: Elements of an array

    package mutating func element(_ value: Int) {
        separate()
        raw("\(value)")
    }

    package mutating func element(_ value: Double) {
        separate()
        raw(value.isFinite ? "\(value)" : "null")
    }

    package mutating func element(_ value: String) {
        separate()
        JSONString.append(value, to: &output)
    }

    /// An element that is an object.
    package mutating func object(_ body: (inout JSONBuilder) -> Void) {
        separate()
        nest("{", "}", body)
    }

    // MARK: Writing

    private mutating func nest(_ open: String, _ close: String, _ body: (inout JSONBuilder) -> Void) {
        raw(open)
        needsComma = false
        body(&self)
        raw(close)
        needsComma = true
    }

    private mutating func begin(_ name: String) {
        separate()
        JSONString.append(name, to: &output)
        raw(":")
    }

    private mutating func separate() {
        if needsComma { raw(",") }
        needsComma = true
    }

    private mutating func raw(_ text: String) { output.append(contentsOf: text.utf8) }
}
