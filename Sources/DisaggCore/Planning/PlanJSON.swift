/// Small JSON texts, written member by member.
package enum PlanJSON {
    /// A number with that many digits behind the point.
    package static func number(_ value: Double, _ digits: Int = 3) -> String {
        value.isFinite ? DecimalText.fixed(value, digits) : "null"
    }

    /// A string.
    package static func string(_ text: String) -> String { JSONString.encode(text) }

    /// An object.
    package static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\(JSONString.encode($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
    }

    /// A list.
    package static func list(_ elements: [String]) -> String { "[" + elements.joined(separator: ", ") + "]" }
}
