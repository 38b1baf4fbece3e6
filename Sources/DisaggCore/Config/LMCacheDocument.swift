/// An LMCache file as LMCache's own loader understands it, with what the loader drops in silence.
///
/// Source of the conversion rules: LMCache 0.5.6 `config_base.py`; older versions differ in what they warn about.
package struct LMCacheDocument: Sendable, Hashable {
    /// A value after the loader's conversion.
    package enum Value: Sendable, Hashable {
        case none
        case bool(Bool)
        case integer(Int)
        case number(Double)
        case text(String)
        case integers([Int])
        case numbers([Double])
        case texts([String])
        case mapping([String: YAML11Scalar])
    }

    /// Something the loader does not say, or only logs.
    package struct Note: Sendable, Hashable {
        /// The check it belongs to.
        package var check: CheckID
        /// The key.
        package var key: String
        /// What was found.
        package var message: String
        /// Where the key stands; nil for a variable of the environment.
        package var mark: YAMLMark?
    }

    /// The file's name, for messages.
    package var fileName: String
    /// The keys in force after conversion; absent ones have LMCache's default.
    package private(set) var values: [String: Value] = [:]
    /// Where each key stands.
    package private(set) var marks: [String: YAMLMark] = [:]
    /// What is wrong with single keys.
    package private(set) var notes: [Note] = []

    /// Creates an empty document: every key has its default.
    package init(fileName: String) { self.fileName = fileName }

    /// Reads a file's text.
    ///
    /// - Parameter version: decides which keys are known.
    /// - Throws: ``YAMLError`` where PyYAML fails too, or the top level is no mapping.
    package init(yaml: String, fileName: String, version: LMCacheVersion) throws(YAMLError) {
        self.fileName = fileName
        let root = try YAMLParser.parse(yaml)
        if root.isNull { return }
        guard case .mapping(let members) = root.content else {
            throw YAMLError(mark: root.mark, message: "expected keys and values at the top level, got \(root.summary)")
        }
        for member in members { take(member, version) }
    }

    private mutating func take(_ member: YAMLNode.Member, _ version: LMCacheVersion) {
        marks[member.key] = member.keyMark
        guard let key = LMCacheKeys.all[member.key], key.isKnown(to: version) else {
            return noteUnknown(member, version)
        }
        if case .scalar(let text, plain: true) = member.value.content, YAML11Scalar.isOctal(text),
            case .integer(let value) = YAML11Scalar(text, plain: true)
        {
            note(.lmcacheOctal, key.name, "\(text) is octal in YAML 1.1 and means \(value)", member.keyMark)
        }
        values[key.name] = convert(member.value, key, member.keyMark)
    }

    private mutating func noteUnknown(_ member: YAMLNode.Member, _ version: LMCacheVersion) {
        let name = member.key
        if let replacement = LMCacheKeys.dead[name], version.generation == .pd {
            note(
                .lmcacheDeadKey, name,
                "LMCache \(version) ignores this key of 0.3.0 to 0.3.6; the current name is \(replacement)",
                member.keyMark)
        } else if let key = LMCacheKeys.all[name] {
            let range = key.until.map { "\(key.since) to \($0)" } ?? "\(key.since) and later"
            note(.lmcacheOtherVersionKey, name, "LMCache \(version) ignores this key of \(range)", member.keyMark)
        } else {
            let known = LMCacheKeys.all.values.filter { $0.isKnown(to: version) }.map(\.name).sorted()
            let nearest = LMCacheKeys.mistaken[name] ?? EditDistance.nearest(to: name, among: known)
            let hint = nearest.map { ", did you mean \($0)?" } ?? ""
            note(.lmcacheUnknownKey, name, "LMCache ignores a key it does not know\(hint)", member.keyMark)
        }
    }

    /// Applies `LMCACHE_…` variables, which win over the file.
    package mutating func apply(environment: [String: String], version: LMCacheVersion) {
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("LMCACHE_") {
            let name = variable.dropFirst(8).lowercased()
            guard let key = LMCacheKeys.all[name], key.isKnown(to: version), !text.isEmpty else { continue }
            let node = YAMLNode(content: .scalar(text, plain: false), mark: .start)
            let before = values[name]
            let notesBefore = notes.count
            let value = convert(node, key, nil)
            // From the environment a value that cannot be converted is dropped, and the old one stays.
            guard notes.count == notesBefore else { continue }
            values[name] = value
            if before != value {
                let old = before == nil ? "LMCache's default" : "the file's value"
                note(.lmcacheEnvironment, name, "\(variable)=\(text) in the environment replaces \(old)", nil)
            }
        }
    }

    private mutating func note(_ check: CheckID, _ key: String, _ message: String, _ mark: YAMLMark?) {
        notes.append(Note(check: check, key: key, message: message, mark: mark))
    }

    // MARK: - Conversion

    private mutating func convert(_ node: YAMLNode, _ key: LMCacheKeys.Key, _ mark: YAMLMark?) -> Value {
        let value = converted(node, key)
        if let value { return value }
        note(
            .lmcacheValueType, key.name,
            "\(node.summary) is no \(Self.name(key.kind)): LMCache warns and goes on without a value", mark)
        return .none
    }

    private static func name(_ kind: LMCacheKeys.Kind) -> String {
        switch kind {
        case .integer: "whole number (1e9 is text in YAML; write 1000000000)"
        case .number: "number"
        case .integers: "list of whole numbers"
        case .numbers: "list of numbers"
        case .texts: "list of names"
        case .mapping: "mapping"
        case .text, .bool, .any: "single value"
        }
    }

    private mutating func converted(_ node: YAMLNode, _ key: LMCacheKeys.Key) -> Value? {
        switch (node.content, key.kind) {
        case (.scalar(let text, let plain), let kind):
            return scalar(YAML11Scalar(text, plain: plain), kind, key.name, node.mark)
        case (.sequence(let elements), .integers): return list(elements) { $0.pythonInteger }.map(Value.integers)
        case (.sequence(let elements), .numbers): return list(elements) { $0.pythonNumber }.map(Value.numbers)
        case (.sequence(let elements), .texts): return list(elements) { $0.pythonText }.map(Value.texts)
        case (.mapping(let members), .mapping): return .mapping(Self.mapping(members))
        default: return nil
        }
    }

    private func list<Element>(_ nodes: [YAMLNode], _ convert: (YAML11Scalar) -> Element?) -> [Element]? {
        var result: [Element] = []
        for node in nodes {
            guard case .scalar(let text, let plain) = node.content,
                let element = convert(YAML11Scalar(text, plain: plain))
            else { return nil }
            result.append(element)
        }
        return result
    }

    private static func mapping(_ members: [YAMLNode.Member]) -> [String: YAML11Scalar] {
        var result: [String: YAML11Scalar] = [:]
        for member in members {
            if case .scalar(let text, let plain) = member.value.content {
                result[member.key] = YAML11Scalar(text, plain: plain)
            } else {
                result[member.key] = .text("…")
            }
        }
        return result
    }

    private mutating func scalar(
        _ scalar: YAML11Scalar, _ kind: LMCacheKeys.Kind, _ key: String, _ mark: YAMLMark
    ) -> Value? {
        switch kind {
        case .bool:
            if case .text(let text) = scalar, !["true", "1", "false", "0", ""].contains(text.lowercased()) {
                note(.lmcacheBoolText, key, "\"\(text)\" in quotes is false for LMCache; write true or false", mark)
            }
            return .bool(["true", "1"].contains(scalar.pythonText.lowercased()))
        case .integer: return scalar == .null ? Value.none : scalar.pythonInteger.map(Value.integer)
        case .number: return scalar == .null ? Value.none : scalar.pythonNumber.map(Value.number)
        case .text, .any: return scalar == .null ? Value.none : .text(scalar.pythonText)
        case .integers:
            if scalar == .null { return Value.none }
            if case .integer(let value) = scalar { return .integers([value]) }
            return Self.parts(scalar) { YAML11Scalar.text($0).pythonInteger }.map(Value.integers)
        case .numbers:
            return scalar == .null
                ? Value.none : Self.parts(scalar) { YAML11Scalar.text($0).pythonNumber }.map(Value.numbers)
        case .texts: return scalar == .null ? Value.none : Self.parts(scalar) { $0 }.map(Value.texts)
        case .mapping:
            if scalar == .null { return Value.none }
            guard case .text(let text) = scalar, let view = try? JSONView(parsing: text), view.kind == .object else {
                return nil
            }
            var result: [String: YAML11Scalar] = [:]
            view.forEachMember { name, value in
                result[name] = value.string.map { .text($0) } ?? YAML11Scalar(value.rawString, plain: true)
            }
            return .mapping(result)
        }
    }

    private static func parts<Element>(_ scalar: YAML11Scalar, _ convert: (String) -> Element?) -> [Element]? {
        var result: [Element] = []
        for part in scalar.pythonText.split(separator: ",") {
            let trimmed = part.trimmingSpaces
            if trimmed.isEmpty { continue }
            guard let element = convert(trimmed) else { return nil }
            result.append(element)
        }
        return result
    }

    // MARK: - Access

    /// A truth value; LMCache's default where the key is absent.
    package func bool(_ key: String, default value: Bool = false) -> Bool {
        if case .bool(let found)? = values[key] { return found }
        return value
    }

    /// A whole number; nil where the key is absent or has no value.
    package func integer(_ key: String) -> Int? {
        if case .integer(let found)? = values[key] { return found }
        return nil
    }

    /// A number; nil where the key is absent or has no value.
    package func number(_ key: String) -> Double? {
        switch values[key] {
        case .number(let found): found
        case .integer(let found): Double(found)
        default: nil
        }
    }

    /// Text; nil where the key is absent or has no value.
    package func text(_ key: String) -> String? {
        if case .text(let found)? = values[key] { return found }
        return nil
    }

    /// Ports and the like; nil where the key is absent or has no value.
    package func integers(_ key: String) -> [Int]? {
        if case .integers(let found)? = values[key] { return found }
        return nil
    }

    /// Names; nil where the key is absent or has no value.
    package func texts(_ key: String) -> [String]? {
        if case .texts(let found)? = values[key] { return found }
        return nil
    }

    /// Whether the file, or the environment, gives the key a value.
    package func has(_ key: String) -> Bool { values[key].map { $0 != .none } ?? false }

    /// One entry of `extra_config`.
    package func extra(_ name: String) -> YAML11Scalar? {
        if case .mapping(let members)? = values["extra_config"] { return members[name] }
        return nil
    }
}

extension Substring {
    /// Without spaces at both ends.
    fileprivate var trimmingSpaces: String {
        var rest = self
        while rest.first == " " { rest = rest.dropFirst() }
        while rest.last == " " { rest = rest.dropLast() }
        return String(rest)
    }
}
