/// Looks up options in an engine's command line as vLLM's argument parser takes them: `--name value`, `--name=value`,
/// underscores like dashes, the last one wins.
package struct EngineArguments: Sendable, Hashable {
    /// The words of the command line.
    package var words: [String]

    /// Wraps a command line, or a part of it.
    package init(_ words: [String]) { self.words = words }

    /// The value of an option given without its dashes, for example `max-model-len`; nil where it is absent.
    package func value(_ names: String...) -> String? { value(names) }

    private func value(_ names: [String]) -> String? {
        var found: String?
        for (index, word) in words.enumerated() {
            guard let (name, inline) = Self.option(word), names.contains(name) else { continue }
            if let inline {
                found = inline
            } else if index + 1 < words.count, Self.option(words[index + 1]) == nil {
                found = words[index + 1]
            }
        }
        return found
    }

    /// Whether a switch is on; `--no-name` and `--disable-name` turn `--name` and `--enable-name` off. Nil where neither
    /// is given.
    package func isOn(_ name: String) -> Bool? {
        var state: Bool?
        let plain = name.hasPrefix("enable-") ? String(name.dropFirst(7)) : name
        for word in words {
            guard let (option, _) = Self.option(word) else { continue }
            if option == name { state = true }
            if option == "no-\(name)" || option == "disable-\(plain)" { state = false }
        }
        return state
    }

    /// Whether the option is there at all.
    package func contains(_ name: String) -> Bool { words.contains { Self.option($0)?.name == name } }

    /// An option's whole number; vLLM takes `16k` (1000) and `16K` (1024) for lengths.
    package func integer(_ names: String...) -> Int? {
        guard let text = value(names) else { return nil }
        if let number = Int(text) { return number }
        let scales: [Character: Int] = ["k": 1000, "K": 1024, "m": 1_000_000, "M": 1 << 20]
        guard let last = text.last, let scale = scales[last], let number = Double(text.dropLast()),
            number.isFinite, number >= 0, number < 1e9
        else { return nil }
        return Int(number * Double(scale))
    }

    /// An option's number.
    package func number(_ names: String...) -> Double? { value(names).flatMap(Double.init) }

    /// The model: the first word after `serve` that is no option, or `--model`; SGLang's `--model-path`.
    package var model: String? {
        if let named = value("model", "model-path") { return named }
        guard let serve = words.firstIndex(of: "serve"), serve + 1 < words.count,
            Self.option(words[serve + 1]) == nil
        else { return nil }
        return words[serve + 1]
    }

    /// Name and inline value of `--name=value`; nil for a word that is no option.
    private static func option(_ word: String) -> (name: String, value: String?)? {
        let long = word.hasPrefix("--")
        guard long || word.hasPrefix("-"), word.count > 1, word.dropFirst().first.map({ !$0.isNumber }) ?? false else {
            return nil
        }
        let parts = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String((parts.first ?? "").map { $0 == "_" ? "-" : $0 })
        return (name, parts.count == 2 ? String(parts[1]) : nil)
    }
}
