/// The settings of single requests and of conditional hand-off.
extension DeploymentReader {
    package static let conditionalKeys = [
        "minimumPromptTokens", "bytesPerToken", "minimumUncachedTokens", "prefillQueue", "idleDecodeRequests",
    ]

    /// Reads the `conditional` section.
    static func conditional(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ conditional: inout ConditionalSettings
    ) {
        reader.members(of: node, at: path, known: conditionalKeys) { reader, key, node, path in
            switch key {
            case "minimumPromptTokens":
                reader.integer(node, at: path, in: 0...1 << 30).map { conditional.minimumPromptTokens = $0 }
            case "bytesPerToken":
                guard let bytes = reader.number(node, at: path) else { return }
                guard (0.1...1000).contains(bytes) else {
                    return reader.note("expected 0.1...1000, got \(bytes)", at: path, mark: node.mark)
                }
                conditional.bytesPerToken = bytes
            case "minimumUncachedTokens":
                reader.integer(node, at: path, in: 0...1 << 30).map { conditional.minimumUncachedTokens = $0 }
            case "prefillQueue":
                conditional.prefillQueue = reader.integer(node, at: path, in: 1...1 << 20) ?? conditional.prefillQueue
            case "idleDecodeRequests":
                reader.integer(node, at: path, in: 0...1 << 20).map { conditional.idleDecodeRequests = $0 }
            default: break
            }
        }
    }

    /// Reads the list of prefill engines that clients may name.
    static func allowPrefillers(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ requests: inout RequestSettings
    ) {
        for element in reader.elements(of: node, at: path) ?? [] {
            reader.endpoint(element.node, at: element.path, ports: 1...65535).map {
                requests.allowedPrefillers.append($0)
            }
        }
    }
}

extension DeploymentWriter {
    /// The lines of the `conditional` section; none where it has its defaults.
    static func conditional(_ conditional: ConditionalSettings) -> [String] {
        guard conditional != ConditionalSettings() else { return [] }
        var lines = [
            "conditional:",
            "  minimumPromptTokens: \(conditional.minimumPromptTokens)",
            "  bytesPerToken: \(conditional.bytesPerToken)",
            "  minimumUncachedTokens: \(conditional.minimumUncachedTokens)",
        ]
        if let queue = conditional.prefillQueue { lines.append("  prefillQueue: \(queue)") }
        lines.append("  idleDecodeRequests: \(conditional.idleDecodeRequests)")
        return lines
    }

    /// Lines of the `proxy` section; none where they are the defaults.
    static func requests(_ requests: RequestSettings) -> [String] {
        var lines: [String] = []
        if requests.showsDecision { lines.append("  decisionHeader: true") }
        if !requests.allowedPrefillers.isEmpty {
            let targets = requests.allowedPrefillers.map { YAMLText.quoted($0.description) }
            lines.append("  allowPrefillers: \(YAMLText.list(targets))")
        }
        return lines
    }
}
