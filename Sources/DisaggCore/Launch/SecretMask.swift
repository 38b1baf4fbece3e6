/// Hides access tokens in what is printed.
package enum SecretMask {
    /// What is shown instead.
    package static let mask = "***"

    /// Whether a variable of that name holds a secret: `HF_TOKEN`, `VLLM_API_KEY`, `…_KEY`, `…_TOKEN`, `…_SECRET`,
    /// `…_PASSWORD`. `--first-token` names a role, no secret.
    package static func isSecret(_ name: String) -> Bool {
        let name = name.uppercased()
        return name != "FIRST_TOKEN"
            && ["KEY", "TOKEN", "SECRET", "PASSWORD"].contains { name == $0 || name.hasSuffix("_\($0)") }
    }

    /// The arguments with the values of `--api-key`, `--hf-token` and the like hidden.
    package static func masked(_ arguments: [String]) -> [String] {
        var hideNext = false
        return arguments.map { argument in
            // An option that follows ends the values of the one before; `--api-key` takes several.
            if argument.hasPrefix("--") {
                let parts = argument.split(separator: "=", maxSplits: 1)
                let name = String(parts.first?.dropFirst(2) ?? "").split(separator: "-").joined(separator: "_")
                let secret = isSecret(name)
                hideNext = secret && parts.count == 1
                return secret && parts.count == 2 ? "\(parts[0])=\(mask)" : argument
            }
            return hideNext ? mask : argument
        }
    }
}
