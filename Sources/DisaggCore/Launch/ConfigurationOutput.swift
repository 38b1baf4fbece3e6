/// What `disagg-launch config` writes: every file that `up` would use, and the commands as JSON.
package struct ConfigurationOutput: Sendable {
    /// The deployment, its engine settled.
    package var deployment: Deployment
    /// Where files go and programs are.
    package var places: CommandPlaces

    /// Describes the output.
    package init(_ deployment: Deployment, places: CommandPlaces) {
        self.deployment = deployment
        self.places = places
    }

    /// All files: the resolved deployment, one LMCache file an engine, `commands.json`.
    package var files: [EngineCommand.File] {
        let proxy = ProxyCommand.make(deployment, places: places)
        let engines = EngineCommands.all(deployment, places: places)
        let commands = EngineCommand.File(path: places.path("commands.json"), contents: json(proxy, engines))
        return proxy.files + engines.flatMap(\.command.files) + [commands]
    }

    /// Writes all files.
    ///
    /// - Returns: their paths.
    package func write() throws(CommandError) -> [String] {
        try RunDirectory.create(places.directory)
        let files = files
        for file in files { try RunDirectory.write(file) }
        return files.map(\.path)
    }

    // MARK: - commands.json

    private func json(_ proxy: EngineCommand, _ engines: [EngineCommands.Engine]) -> String {
        let sizing = LMCacheSizing(deployment)
        var members = [
            "\"model\": \(JSONString.encode(deployment.model))",
            "\"handoff\": \(JSONString.encode(deployment.handoff.rawValue))",
        ]
        if deployment.handoff == .lmcache || deployment.handoff == .lmcacheLegacy {
            let version = deployment.lmcacheVersion
            members.append(
                "\"lmcache\": {\"version\": \"\(version)\", \"generation\": \"\(version.generation.rawValue)\", "
                    + "\"backend\": \"\(deployment.lmcache.backend(in: version).rawValue)\", "
                    + "\"chunkBytes\": \(sizing.chunkBytes.map(String.init) ?? "null"), "
                    + "\"longestPromptTokens\": \(sizing.longestPrompt), "
                    + "\"prefillBufferBytes\": \(LMCacheFile.bufferBytes(deployment, .prefill)), "
                    + "\"decodeBufferBytes\": \(LMCacheFile.bufferBytes(deployment, .decode))}")
        }
        let proxyPorts = deployment.portClaims.filter { $0.process == "proxy" }
        var processes = [process(proxy, role: "proxy", isLocal: true, ports: proxyPorts, rank: 1)]
        processes += engines.map { engine in
            process(
                engine.command, role: engine.role.rawValue, isLocal: engine.isLocal, ports: engine.ports,
                rank: deployment.group(engine.role).worldSize)
        }
        members.append("\"processes\": [\n    \(processes.joined(separator: ",\n    "))\n  ]")
        members.append("\"proxy\": \(proxySide)")
        return "{\n  \(members.joined(separator: ",\n  "))\n}\n"
    }

    private func process(
        _ command: EngineCommand, role: String, isLocal: Bool, ports: [PortClaim], rank: Int
    ) -> String {
        let environment = command.environment.sorted { $0.key < $1.key }.map { name, value in
            let shown = SecretMask.isSecret(name) ? SecretMask.mask : value
            return "\(JSONString.encode(name)): \(JSONString.encode(shown))"
        }
        let claims = ports.map { claim in
            "{\"port\": \(claim.endpoint.port), \"host\": \(JSONString.encode(claim.endpoint.host)), "
                + "\"purpose\": \(JSONString.encode(claim.purpose))}"
        }
        let members = [
            "\"name\": \(JSONString.encode(command.name))", "\"role\": \"\(role)\"", "\"startedByUp\": \(isLocal)",
            "\"ranks\": \(rank)",
            "\"arguments\": \(Self.list(SecretMask.masked(command.arguments)))",
            "\"environment\": {\(environment.joined(separator: ", "))}",
            "\"files\": \(Self.list(command.files.map(\.path)))", "\"log\": \(JSONString.encode(command.logFile))",
            "\"ports\": [\(claims.joined(separator: ", "))]",
        ]
        return "{\n      \(members.joined(separator: ",\n      "))\n    }"
    }

    /// What the proxy must know of the engines: the other side of the port matrix.
    private var proxySide: String {
        let decoders = deployment.backends(.decode).map { backend in
            let receiver = backend.receiver.map { receiver in
                ", \"receiverHost\": \(JSONString.encode(receiver.host)), \"initPorts\": \(Self.list(receiver.initPorts)), "
                    + "\"allocPorts\": \(Self.list(receiver.allocPorts))"
            }
            return "{\"id\": \"\(backend.id)\", \"url\": \"http://\(backend.authority)\"\(receiver ?? "")}"
        }
        let prefillers = deployment.backends(.prefill).map { backend in
            "{\"id\": \"\(backend.id)\", \"url\": \"http://\(backend.authority)\"}"
        }
        var members = [
            "\"listen\": \"\(deployment.proxy.listen)\"", "\"prefill\": [\(prefillers.joined(separator: ", "))]",
            "\"decode\": [\(decoders.joined(separator: ", "))]",
        ]
        if deployment.handoff == .lmcache {
            members.append("\"notify\": \"\(deployment.proxy.notify)\"")
            members.append("\"expectedNotifications\": \(deployment.expectedNotifications)")
        }
        return "{\(members.joined(separator: ", "))}"
    }

    private static func list(_ texts: [String]) -> String {
        "[\(texts.map { JSONString.encode($0) }.joined(separator: ", "))]"
    }

    private static func list(_ numbers: [Int]) -> String { "[\(numbers.map(String.init).joined(separator: ", "))]" }
}
