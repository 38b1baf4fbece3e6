/// Writing scalars that every YAML reader takes for the same text.
package enum YAMLText {
    /// The text plain where no YAML 1.1 or 1.2 rule can read it as something else, in double quotes otherwise.
    ///
    /// Double quotes with JSON's escapes are valid YAML, so one escaper serves both.
    package static func scalar(_ text: String) -> String {
        let first = text.utf8.first ?? 0
        let startsPlain = isLetter(first) || first == UInt8(ascii: "/")
        let isPlain = text.utf8.allSatisfy { byte in
            isLetter(byte) || (0x30...0x39).contains(byte) || "/._-".utf8.contains(byte)
        }
        let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"]
        guard startsPlain, isPlain, !reserved.contains(text.lowercased()) else { return quoted(text) }
        return text
    }

    /// The text in double quotes.
    package static func quoted(_ text: String) -> String {
        // YAML refuses raw DEL, C1 controls, U+FEFF and the like even in quotes, and folds U+2028/9 as line ends.
        var result = ""
        for scalar in JSONString.encode(text).unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A list in one line.
    package static func list(_ elements: [String]) -> String { "[\(elements.joined(separator: ", "))]" }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
