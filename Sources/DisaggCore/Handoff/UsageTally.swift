internal import NIOCore

/// Adds up `usage` objects of one request's parts.
///
/// Every number is summed, whatever the engine calls it, but those of a prompt that was counted already: their names begin
/// with `prompt`. The total is made anew of both.
package struct UsageTally: Sendable {
    private indirect enum Value: Sendable {
        case number(Int)
        case object([(name: String, value: Value)])
        /// JSON text that cannot be added, such as null.
        case other(String)
    }

    private var total: [(name: String, value: Value)] = []
    /// Members of an object that are kept; no engine writes so many.
    private static let maximumMembers = 32
    private static let maximumDepth = 4

    package init() {}

    /// Whether nothing was added.
    package var isEmpty: Bool { total.isEmpty }

    /// Adds the usage of a part.
    ///
    /// - Parameter countsPrompt: false for a further choice of a prompt that was added with another.
    package mutating func add(_ usage: JSONView, countsPrompt: Bool) {
        Self.add(usage, to: &total, countsPrompt: countsPrompt, depth: 0)
    }

    private static func add(
        _ object: JSONView, to total: inout [(name: String, value: Value)], countsPrompt: Bool, depth: Int
    ) {
        guard depth < maximumDepth else { return }
        object.forEachMember { name, value in
            let index = total.firstIndex { $0.name == name }
            if index == nil, total.count >= maximumMembers { return }
            if !countsPrompt, name.hasPrefix("prompt") {
                // Its place is kept: the part that counts may come later.
                if index == nil { total.append((name, nothing(value, depth: depth))) }
                return
            }
            let merged = merge(index.map { total[$0].value }, value, depth: depth)
            if let index { total[index].value = merged } else { total.append((name, merged)) }
        }
    }

    /// The value with every count 0.
    private static func nothing(_ value: JSONView, depth: Int) -> Value {
        switch value.kind {
        case .number: return .number(0)
        case .object where depth < maximumDepth:
            var members: [(name: String, value: Value)] = []
            value.forEachMember { name, inner in
                if members.count < maximumMembers { members.append((name, nothing(inner, depth: depth + 1))) }
            }
            return .object(members)
        default: return .other(value.rawString)
        }
    }

    private static func merge(_ old: Value?, _ new: JSONView, depth: Int) -> Value {
        switch new.kind {
        case .number:
            guard let count = new.int else { return .other(new.rawString) }
            guard case .number(let sum)? = old else { return .number(count) }
            let (added, overflows) = sum.addingReportingOverflow(count)
            return .number(overflows ? .max : added)
        case .object:
            var members: [(name: String, value: Value)] = []
            if case .object(let before)? = old { members = before }
            add(new, to: &members, countsPrompt: true, depth: depth + 1)
            return .object(members)
        default:
            // A part that tells nothing takes away nothing.
            if let old, new.isNull { return old }
            return .other(new.rawString)
        }
    }

    /// The sum as JSON text.
    package var json: String {
        var members = total
        func count(_ name: String) -> Int? {
            guard case .number(let count)? = members.first(where: { $0.name == name })?.value else { return nil }
            return count
        }
        if let prompt = count("prompt_tokens"), let index = members.firstIndex(where: { $0.name == "total_tokens" }) {
            let (sum, overflows) = prompt.addingReportingOverflow(count("completion_tokens") ?? 0)
            members[index].value = .number(overflows ? .max : sum)
        }
        return Self.json(members)
    }

    private static func json(_ members: [(name: String, value: Value)]) -> String {
        let texts = members.map { member in
            let value =
                switch member.value {
                case .number(let count): String(count)
                case .object(let inner): json(inner)
                case .other(let text): text
                }
            return JSONString.encode(member.name) + ":" + value
        }
        return "{" + texts.joined(separator: ",") + "}"
    }
}
