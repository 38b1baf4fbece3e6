internal import ArgumentParser
internal import DisaggCore

/// Flags for hand-offs whose engines must be told of each other's places; a deployment file can say more.
struct HandoffFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("Bootstrap port of mooncake and sglang prefill engines. (default: 8998)", valueName: "port"))
    var bootstrapPort: Int?

    @Option(help: ArgumentHelp("Side channel port of nixl-push prefill engines. (default: 5600)", valueName: "port"))
    var sideChannelPort: Int?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("engine_id of each nixl-push prefill engine. (default: prefill-0, …)", valueName: "id"))
    var engineId: [String] = []

    @Option(help: ArgumentHelp("How moriio moves KV: read or write. (default: write)", valueName: "mode"))
    var moriioMode: String?

    @Option(
        help: ArgumentHelp(
            "Which trtllm leg goes first: context-first or generation-first. (default: context-first)",
            valueName: "style"))
    var trtllmStyle: String?

    @Option(
        help: ArgumentHelp(
            "A request whose prefill no engine can do: decode-only or error. (default: decode-only)",
            valueName: "way"))
    var fallback: String?

    /// Writes what was given into a deployment.
    func apply(to deployment: inout Deployment) throws {
        if let bootstrapPort {
            deployment.prefill.transfer.bootstrapPort = try Self.port(bootstrapPort, "--bootstrap-port")
        }
        if let sideChannelPort {
            deployment.prefill.sideChannelPort = try Self.port(sideChannelPort, "--side-channel-port")
        }
        if let moriioMode { deployment.handoffOptions.moriioMode = try Self.choice(moriioMode, "--moriio-mode") }
        if let trtllmStyle { deployment.handoffOptions.trtllmStyle = try Self.choice(trtllmStyle, "--trtllm-style") }
        if let fallback { deployment.handoffOptions.fallback = try Self.choice(fallback, "--fallback") }
        guard !engineId.isEmpty else { return }
        let engines = deployment.prefill.endpoints.count
        guard engineId.count == engines else {
            throw DisaggError(
                .badRequest, "--engine-id: expected \(engines), one for each prefill engine, got \(engineId.count)")
        }
        deployment.prefill.transfer.engineIDs = engineId
    }

    private static func port(_ port: Int, _ flag: String) throws -> Int {
        guard (1...65535).contains(port) else {
            throw DisaggError(.badRequest, "\(flag): expected 1...65535, got \(port)")
        }
        return port
    }

    private static func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ text: String, _ flag: String
    ) throws -> Value {
        guard let value = Value(rawValue: text) else {
            let names = Value.allCases.map(\.rawValue).joined(separator: " or ")
            throw DisaggError(.badRequest, "\(flag): expected \(names), got \"\(text)\"")
        }
        return value
    }
}
