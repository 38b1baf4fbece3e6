/// The parts of a deployment file that only some hand-offs read: `handoffOptions`, and the KV ports of each group.
package enum HandoffSections {
    /// Keys of `handoffOptions`.
    package static let optionKeys = [
        "moriioMode", "trtllmStyle", "lease", "bidirectional", "turnLifetime", "fallback", "resume",
    ]
    /// Keys of `prefill` and `decode` that say where engines offer KV.
    package static let groupKeys = [
        "dataParallel", "transferHost", "bootstrapPort", "p2pPort", "zmqPort", "handshakePort", "kvNotifyPort",
        "queryPort", "engineIDs",
    ]

    // MARK: Reading

    static func read(
        _ node: YAMLNode, at path: String, _ reader: inout ConfigReader, into options: inout HandoffOptions
    ) {
        reader.members(of: node, at: path, known: optionKeys) { reader, key, node, path in
            switch key {
            case "moriioMode":
                reader.choice(node, at: path, of: HandoffOptions.MoRIIOMode.self).map { options.moriioMode = $0 }
            case "trtllmStyle":
                reader.choice(node, at: path, of: HandoffOptions.TRTLLMStyle.self).map { options.trtllmStyle = $0 }
            case "lease": reader.duration(node, at: path).map { options.lease = $0 }
            case "bidirectional": reader.bool(node, at: path).map { options.bidirectional = $0 }
            case "turnLifetime": reader.duration(node, at: path).map { options.turnLifetime = $0 }
            case "resume": reader.bool(node, at: path).map { options.resume = $0 }
            case "fallback":
                reader.choice(node, at: path, of: HandoffOptions.Fallback.self).map { options.fallback = $0 }
            default: break
            }
        }
    }

    /// Reads one of ``groupKeys``.
    static func read(
        _ key: String, _ node: YAMLNode, at path: String, _ reader: inout ConfigReader,
        into transfer: inout KVTransferSettings
    ) {
        switch key {
        case "dataParallel": reader.integer(node, at: path, in: 1...1024).map { transfer.dataParallel = $0 }
        case "transferHost": reader.string(node, at: path).map { transfer.host = $0 }
        case "bootstrapPort": transfer.bootstrapPort = reader.port(node, at: path)
        case "p2pPort": transfer.p2pPort = reader.port(node, at: path)
        case "zmqPort": transfer.zmqPort = reader.port(node, at: path)
        case "handshakePort": transfer.handshakePort = reader.port(node, at: path)
        case "kvNotifyPort": transfer.notifyPort = reader.port(node, at: path)
        case "queryPort": transfer.queryPort = reader.port(node, at: path)
        case "engineIDs":
            for element in reader.elements(of: node, at: path) ?? [] {
                reader.string(element.node, at: element.path).map { transfer.engineIDs.append($0) }
            }
        default: break
        }
    }

    // MARK: Writing

    static func yaml(_ options: HandoffOptions) -> [String] {
        [
            "handoffOptions:",
            "  moriioMode: \(options.moriioMode.rawValue)",
            "  trtllmStyle: \(options.trtllmStyle.rawValue)",
            "  lease: \(ConfigText.text(options.lease))",
            "  bidirectional: \(options.bidirectional)",
            "  turnLifetime: \(ConfigText.text(options.turnLifetime))",
            "  fallback: \(options.fallback.rawValue)",
            "  resume: \(options.resume)",
        ]
    }

    static func yaml(_ transfer: KVTransferSettings) -> [String] {
        var lines: [String] = []
        if transfer.dataParallel > 1 { lines.append("  dataParallel: \(transfer.dataParallel)") }
        if let host = transfer.host { lines.append("  transferHost: \(YAMLText.scalar(host))") }
        let ports = [
            ("bootstrapPort", transfer.bootstrapPort), ("p2pPort", transfer.p2pPort), ("zmqPort", transfer.zmqPort),
            ("handshakePort", transfer.handshakePort), ("kvNotifyPort", transfer.notifyPort),
            ("queryPort", transfer.queryPort),
        ]
        for (name, port) in ports { if let port { lines.append("  \(name): \(port)") } }
        if !transfer.engineIDs.isEmpty {
            lines.append("  engineIDs: \(YAMLText.list(transfer.engineIDs.map(YAMLText.quoted)))")
        }
        return lines
    }

    // MARK: Contradictions

    static func check(_ deployment: Deployment, _ reader: inout ConfigReader) {
        for role in BackendRole.allCases {
            let group = deployment.group(role)
            let ids = group.transfer.engineIDs
            let path = "\(role.rawValue).engineIDs"
            if !ids.isEmpty, ids.count != group.endpoints.count {
                reader.note("expected \(group.endpoints.count), one for each engine, got \(ids.count)", at: path)
            }
            if Set(ids).count != ids.count { reader.note("expected different ids, one is given twice", at: path) }
        }
        let own = deployment.handoff == .sglang || deployment.handoff == .trtllm || deployment.handoff == .llmd
        if own, deployment.engine == .vllm, deployment.prefill.urls.isEmpty || deployment.decode.urls.isEmpty {
            reader.note(
                "vLLM does not serve the \(deployment.handoff.rawValue) hand-off; give the running engines' addresses as "
                    + "prefill.urls and decode.urls, or use engine: simulated", at: "handoff")
        }
    }
}
