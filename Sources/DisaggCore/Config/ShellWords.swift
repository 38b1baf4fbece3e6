/// Splits a command line as a POSIX shell does: blanks, single and double quotes, backslashes. Nothing is expanded.
package enum ShellWords {
    /// The words; nil where a quote is not closed.
    package static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word = ""
        var hasWord = false
        var quote: Character?
        var characters = text.makeIterator()
        while let character = characters.next() {
            switch (character, quote) {
            case ("'", nil), ("\"", nil):
                quote = character
                hasWord = true
            case (let closing, let open?) where closing == open: quote = nil
            case ("\\", nil), ("\\", "\""):
                guard let next = characters.next() else { return nil }
                // A backslash at a line's end joins the lines.
                if next == "\n" { continue }
                if quote == "\"", !"\"\\$`".contains(next) { word.append("\\") }
                word.append(next)
                hasWord = true
            case (let blank, nil) where blank.isWhitespace:
                if hasWord { words.append(word) }
                word = ""
                hasWord = false
            default:
                word.append(character)
                hasWord = true
            }
        }
        guard quote == nil else { return nil }
        return hasWord ? words + [word] : words
    }

    /// Splits the assignments before a command from its words: `A=1 vllm serve M` has the variable A.
    package static func command(_ text: String) -> (environment: [String: String], words: [String])? {
        guard let words = split(text) else { return nil }
        var environment: [String: String] = [:]
        var rest = words[...]
        while let first = rest.first, let equals = first.firstIndex(of: "="), !first.hasPrefix("-") {
            environment[String(first[..<equals])] = String(first[first.index(after: equals)...])
            rest = rest.dropFirst()
        }
        if rest.first == "env" { rest = rest.dropFirst() }
        while let first = rest.first, let equals = first.firstIndex(of: "="), !first.hasPrefix("-") {
            environment[String(first[..<equals])] = String(first[first.index(after: equals)...])
            rest = rest.dropFirst()
        }
        return (environment, Array(rest))
    }
}
