/// What PyYAML's `safe_load` makes of an unquoted scalar: YAML 1.1, with its surprises.
///
/// LMCache reads its files that way: `yes` is true, `0777` is 511, `1e9` is text because it has no dot, `12:30` is 750.
package enum YAML11Scalar: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(String)

    /// Resolves a scalar; quoted ones are always text.
    package init(_ text: String, plain: Bool) {
        guard plain else {
            self = .text(text)
            return
        }
        if ["", "~", "null", "Null", "NULL"].contains(text) {
            self = .null
        } else if let bool = Self.bools[text] {
            self = .bool(bool)
        } else if let integer = Self.integer(text) {
            self = .integer(integer)
        } else if let number = Self.number(text) {
            self = .number(number)
        } else {
            self = .text(text)
        }
    }

    private static let bools: [String: Bool] = {
        var table: [String: Bool] = [:]
        for (word, value) in [
            ("yes", true), ("no", false), ("true", true), ("false", false), ("on", true), ("off", false),
        ] {
            for form in [word, word.prefix(1).uppercased() + word.dropFirst(), word.uppercased()] {
                table[form] = value
            }
        }
        return table
    }()

    /// Whether the text is written like an octal number: `0` and more digits, all below 8.
    package static func isOctal(_ text: String) -> Bool {
        let digits = text.drop { $0 == "-" || $0 == "+" }
        return digits.count > 1 && digits.first == "0"
            && digits.utf8.allSatisfy { (0x30...0x37).contains($0) || $0 == 0x5F }
    }

    private static func integer(_ text: String) -> Int? {
        let negative = text.hasPrefix("-")
        let body = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        guard let first = body.utf8.first, (0x30...0x39).contains(first) else { return nil }
        let digits = body.filter { $0 != "_" }
        let value: Int?
        if digits.hasPrefix("0b") {
            value = Int(digits.dropFirst(2), radix: 2)
        } else if digits.hasPrefix("0x") {
            value = Int(digits.dropFirst(2), radix: 16)
        } else if isOctal(String(body)) {
            value = Int(digits, radix: 8)
        } else if digits.contains(":") {
            value = sexagesimal(digits)
        } else if digits == "0" || !digits.hasPrefix("0") {
            value = digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(digits) : nil
        } else {
            value = nil
        }
        return value.map { negative ? -$0 : $0 }
    }

    private static func sexagesimal(_ text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count > 1, parts.count < 6, !text.hasPrefix("0") else { return nil }
        var total = 0
        for (index, part) in parts.enumerated() {
            guard !part.isEmpty, part.count <= (index == 0 ? 9 : 2), let value = Int(part), value >= 0,
                index == 0 || value < 60
            else { return nil }
            total = total * 60 + value
        }
        return total
    }

    /// A float needs a dot, and an exponent a sign.
    private static func number(_ text: String) -> Double? {
        let body = text.drop { $0 == "-" || $0 == "+" }
        guard text.count - body.count <= 1 else { return nil }
        let sign = text.hasPrefix("-") ? -1.0 : 1.0
        if [".inf", ".Inf", ".INF"].contains(body) { return sign * .infinity }
        if [".nan", ".NaN", ".NAN"].contains(text) { return .nan }
        guard body.contains("."), let first = body.utf8.first, (0x30...0x39).contains(first) || first == 0x2E else {
            return nil
        }
        let digits = body.filter { $0 != "_" }
        if let exponent = digits.firstIndex(where: { $0 == "e" || $0 == "E" }) {
            let next = digits.index(after: exponent)
            guard next < digits.endIndex, digits[next] == "+" || digits[next] == "-" else { return nil }
        }
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || ".eE+-".utf8.contains($0) }) else { return nil }
        let padded = digits.hasPrefix(".") ? "0" + digits : digits
        return Double(padded.hasSuffix(".") ? padded + "0" : padded).map { sign * $0 }
    }

    /// How Python's `str` writes it.
    package var pythonText: String {
        switch self {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .text(let value): value
        }
    }

    /// Python's `int(…)`; nil where it raises.
    package var pythonInteger: Int? {
        switch self {
        case .null: nil
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        case .number(let value): value.isFinite && abs(value) < 9e18 ? Int(value) : nil
        case .text(let value): Int(value.filter { $0 != "_" && $0 != " " && $0 != "\n" })
        }
    }

    /// Python's `float(…)`; nil where it raises.
    package var pythonNumber: Double? {
        switch self {
        case .null: nil
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .number(let value): value
        case .text(let value):
            switch value.lowercased() {
            case "inf", "infinity", "+inf": .infinity
            case "-inf", "-infinity": -.infinity
            default: Double(value.filter { $0 != "_" && $0 != " " })
            }
        }
    }
}
