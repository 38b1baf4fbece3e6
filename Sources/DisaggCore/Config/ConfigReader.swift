/// Turns nodes into typed values and collects what is wrong on the way.
///
/// Each read returns nil after noting a problem, so the caller keeps its default and reading goes on: a user sees all
/// the mistakes of a file at once.
package struct ConfigReader {
    /// What was found wrong so far.
    package private(set) var problems: [DeploymentError.Problem] = []
    /// Where each field that was given stands, by its path such as `prefill.port`.
    package private(set) var marks: [String: YAMLMark] = [:]

    /// Creates a reader with nothing found.
    package init() {}

    /// Notes a problem at a field, or at the nearest section around it that the file has.
    package mutating func note(_ message: String, at path: String, mark: YAMLMark? = nil) {
        var place = mark
        var prefix = path[...]
        while place == nil, !prefix.isEmpty {
            place = marks[String(prefix)]
            prefix = prefix[..<(prefix.lastIndex { $0 == "." || $0 == "[" } ?? prefix.startIndex)]
        }
        let mark = place ?? .start
        guard !problems.contains(where: { $0.path == path && $0.message == message }) else { return }
        problems.append(.init(line: mark.line, column: mark.column, path: path, message: message))
    }

    /// Calls `body` with each known member of a mapping; unknown keys become problems with a suggestion.
    ///
    /// A null value leaves the default, as an absent key does.
    package mutating func members(
        of node: YAMLNode, at path: String, known: [String],
        _ body: (inout ConfigReader, String, YAMLNode, String) -> Void
    ) {
        if node.isNull { return }
        guard case .mapping(let members) = node.content else {
            return note("expected a mapping, got \(node.summary)", at: path, mark: node.mark)
        }
        for member in members {
            let memberPath = path.isEmpty ? member.key : "\(path).\(member.key)"
            guard known.contains(member.key) else {
                let nearest = EditDistance.nearest(to: member.key, among: known)
                let hint = nearest.map { ", did you mean \"\($0)\"?" } ?? "; known are \(known.joined(separator: ", "))"
                note("unknown key\(hint)", at: memberPath, mark: member.keyMark)
                continue
            }
            marks[memberPath] = member.value.isNull ? member.keyMark : member.value.mark
            if !member.value.isNull { body(&self, member.key, member.value, memberPath) }
        }
    }

    /// The elements of a list with their paths.
    package mutating func elements(of node: YAMLNode, at path: String) -> [(node: YAMLNode, path: String)]? {
        guard case .sequence(let elements) = node.content else {
            note("expected a list such as [a, b], got \(node.summary)", at: path, mark: node.mark)
            return nil
        }
        return elements.enumerated().map { index, element in
            let elementPath = "\(path)[\(index)]"
            marks[elementPath] = element.mark
            return (element, elementPath)
        }
    }

    /// Text; numbers and truth values count as the text they are written as.
    package mutating func string(_ node: YAMLNode, at path: String, emptyAllowed: Bool = false) -> String? {
        guard case .scalar(let text, _) = node.content, !node.isNull, emptyAllowed || !text.isEmpty else {
            note("expected text, got \(node.summary)", at: path, mark: node.mark)
            return nil
        }
        guard !text.unicodeScalars.contains(where: { $0.value == 0 }) else {
            note("expected text without NUL characters", at: path, mark: node.mark)
            return nil
        }
        return text
    }

    /// An integer in a range.
    package mutating func integer(_ node: YAMLNode, at path: String, in range: ClosedRange<Int>) -> Int? {
        if case .scalar(let text, plain: true) = node.content, let value = ConfigText.integer(text),
            range.contains(value)
        {
            return value
        }
        let expected = range.upperBound == .max ? "at least \(range.lowerBound)" : "\(range)"
        note("expected \(expected), got \(node.summary)", at: path, mark: node.mark)
        return nil
    }

    /// A TCP port.
    package mutating func port(_ node: YAMLNode, at path: String) -> Int? { integer(node, at: path, in: 1...65535) }

    /// A finite number that is not negative.
    package mutating func number(_ node: YAMLNode, at path: String) -> Double? {
        if case .scalar(let text, plain: true) = node.content, let first = text.utf8.first,
            (0x30...0x39).contains(first), !text.lowercased().hasPrefix("0x"), let value = Double(text), value.isFinite
        {
            return value
        }
        note("expected a number that is not negative, got \(node.summary)", at: path, mark: node.mark)
        return nil
    }

    /// A truth value: `true` or `false`; YAML 1.1's `yes` and `on` are refused, as readers disagree about them.
    package mutating func bool(_ node: YAMLNode, at path: String) -> Bool? {
        if case .scalar(let text, plain: true) = node.content {
            if ["true", "True"].contains(text) { return true }
            if ["false", "False"].contains(text) { return false }
        }
        note("expected true or false, got \(node.summary)", at: path, mark: node.mark)
        return nil
    }

    /// One of an enumeration's names.
    package mutating func choice<Value: CaseIterable & RawRepresentable>(
        _ node: YAMLNode, at path: String, of type: Value.Type
    ) -> Value? where Value.RawValue == String {
        if case .scalar(let text, _) = node.content, let value = Value(rawValue: text) { return value }
        let names = Value.allCases.map(\.rawValue)
        var message = "expected \(names.joined(separator: ", ")), got \(node.summary)"
        if case .scalar(let text, _) = node.content, let nearest = EditDistance.nearest(to: text, among: names) {
            message += ", did you mean \"\(nearest)\"?"
        }
        note(message, at: path, mark: node.mark)
        return nil
    }

    /// A time such as `30s`.
    package mutating func duration(_ node: YAMLNode, at path: String, zeroAllowed: Bool = false) -> Duration? {
        if case .scalar(let text, _) = node.content, let value = ConfigText.duration(text),
            value > .zero || zeroAllowed
        {
            return value
        }
        note("expected a time such as 30s or 500ms, got \(node.summary)", at: path, mark: node.mark)
        return nil
    }

    /// A size in bytes such as `2GiB`, at least `minimum`.
    package mutating func bytes(_ node: YAMLNode, at path: String, minimum: Int = 1) -> Int? {
        if case .scalar(let text, _) = node.content, let value = ConfigText.bytes(text) {
            if value >= minimum { return value }
            note("expected at least \(ConfigText.text(bytes: minimum)), got \(node.summary)", at: path, mark: node.mark)
            return nil
        }
        note("expected a size such as 2GiB or a number of bytes, got \(node.summary)", at: path, mark: node.mark)
        return nil
    }

    /// An address such as `0.0.0.0:9000`.
    package mutating func endpoint(
        _ node: YAMLNode, at path: String, ports: ClosedRange<Int> = 0...65535
    ) -> Endpoint? {
        if case .scalar(let text, _) = node.content, let value = ConfigText.endpoint(text),
            ports.contains(value.port)
        {
            return value
        }
        note("expected host:port with a port in \(ports), got \(node.summary)", at: path, mark: node.mark)
        return nil
    }
}
