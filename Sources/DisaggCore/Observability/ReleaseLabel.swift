extension HandoffRules.Release {
    /// The value of the label `how`: the case's name in the form of labels, `throw-away-decode`.
    package var label: String {
        "\(self)".reduce(into: "") { result, character in
            if character.isUppercase, !result.isEmpty { result += "-" }
            result += character.lowercased()
        }
    }
}
