/// Command lines before and after a parser that takes what begins with a hyphen for an option.
package enum ArgumentText {
    /// Joins an option and a negative number after it, `--rate -1` to `--rate=-1`: so the number reaches the check that
    /// says what is expected, and a negative port offset is read at all.
    package static func joiningNegativeNumbers(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        for (index, argument) in arguments.enumerated() {
            if let option = joined.last, option.hasPrefix("--"), option.count > 2, !option.contains("="),
                !arguments[..<index].contains("--"), argument.hasPrefix("-"),
                argument.dropFirst().first.map({ $0.isNumber || $0 == "." }) == true || argument == "-inf"
            {
                joined[joined.count - 1] = "\(option)=\(argument)"
            } else {
                joined.append(argument)
            }
        }
        return joined
    }

    /// Adds to a complaint about a number, of which the parser says only that it is invalid, what was expected.
    package static func completing(_ complaint: String) -> String {
        guard let end = complaint.firstIndex(of: "\n"), complaint.contains("The value '"),
            complaint[..<end].last == "'",
            let value = complaint[..<end].split(separator: "'").dropFirst().first
        else { return complaint }
        let number = Double(value)
        let expected =
            Int(value) != nil ? "a number of 0 or more" : number?.isFinite == true ? "a whole number" : "a number"
        return "\(complaint[..<end]): expected \(expected)\(complaint[end...])"
    }
}
