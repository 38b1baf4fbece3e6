/// What `check` was asked for.
package struct CheckRequest: Sendable {
    /// The deployment to check, nil where existing files are.
    package var deployment: LaunchRequest?
    /// Paths of existing LMCache files.
    package var lmcacheFiles: [String] = []
    /// Existing command lines and the proxy's.
    package var commands = CheckedSet.Sources()
    /// `config.json` of the model of existing files.
    package var modelConfiguration: String?
    /// LMCache's version for existing files.
    package var lmcacheVersion: LMCacheVersion?
    /// vLLM's version for existing files.
    package var vllmVersion: LMCacheVersion?

    /// Asks for nothing yet.
    package init() {}

    /// Checks what was asked for.
    ///
    /// - Parameters:
    ///   - machine: whether to look at this machine too, where a deployment is checked.
    ///   - online: whether to look at its running engines.
    /// - Throws: ``CommandError`` where something cannot be read.
    package func report(machine: Bool, online: Bool) async throws(CommandError) -> CheckReport {
        deployment == nil ? try existing() : try await deploymentReport(machine: machine, online: online)
    }

    /// Checks existing files and command lines against each other.
    ///
    /// - Throws: ``CommandError`` where a file cannot be read.
    package func existing() throws(CommandError) -> CheckReport {
        var sources = commands
        for path in lmcacheFiles {
            do throws(ConfigFile.Failure) {
                sources.files.append(.init(name: path, text: try ConfigFile.text(path, limit: YAMLParser.maximumBytes)))
            } catch {
                throw CommandError("\(path): \(error)")
            }
        }
        var shape: ModelShape?
        if let modelConfiguration {
            do throws(ModelConfigurationFile.Failure) {
                shape = try ModelConfigurationFile.read(modelConfiguration)
            } catch {
                throw CommandError(error.description)
            }
        }
        var problems: [CheckFinding] = []
        var set = CheckedSet(
            sources, shape: shape, version: lmcacheVersion ?? .newestKnown, problems: &problems)
        set.vllmVersion = vllmVersion
        return CheckReport(
            subject: "\(sources.files.count) LMCache file\(sources.files.count == 1 ? "" : "s")",
            findings: problems + CheckRules.run(set), facts: Self.explain(set))
    }

    /// Each engine's file in one line, as LMCache understands it.
    static func explain(_ set: CheckedSet) -> [String] {
        var lines = [
            "read as LMCache \(set.lmcacheVersion) does (generation \(set.lmcacheVersion.generation.rawValue))"
        ]
        for engine in set.engines {
            guard let document = engine.document else { continue }
            let role = engine.role.map { $0 == .prefill ? "sender (prefill)" : "receiver (decode)" } ?? "no role"
            var parts = ["\(engine.name): \(role)"]
            if let bytes = document.integer("pd_buffer_size") ?? document.integer("nixl_buffer_size") {
                parts.append("buffer \(ConfigText.text(bytes: bytes))")
            }
            for (key, name) in [
                ("pd_peer_init_port", "init"), ("pd_peer_alloc_port", "alloc"), ("nixl_peer_init_port", "init"),
                ("nixl_peer_alloc_port", "alloc"),
            ] {
                guard let ports = document.integers(key) else { continue }
                parts.append("\(name) \(ports.map(String.init).joined(separator: ","))")
            }
            if let host = document.text("pd_proxy_host") ?? document.text("nixl_proxy_host") {
                let port = document.integer("pd_proxy_port") ?? document.integer("nixl_proxy_port")
                parts.append("notifies \(host):\(port.map(String.init) ?? "?")")
            }
            lines.append(parts.joined(separator: ", "))
        }
        return lines
    }

    /// Facts about a deployment that the findings refer to.
    static func explain(_ deployment: Deployment) -> [String] {
        guard deployment.handoff == .lmcache || deployment.handoff == .lmcacheLegacy else { return [] }
        let sizing = LMCacheSizing(deployment)
        let version = deployment.lmcacheVersion
        var lines = [
            "LMCache \(version), generation \(version.generation.rawValue), "
                + "\(deployment.lmcache.backend(in: version).rawValue) backend"
        ]
        guard let chunk = sizing.chunkBytes else { return lines }
        for role in BackendRole.allCases {
            let bytes = LMCacheFile.bufferBytes(deployment, role)
            lines.append(
                "\(role.rawValue) buffer \(bytes) bytes a rank: \(bytes / chunk) chunks of \(chunk) bytes, "
                    + "\(bytes / chunk * sizing.chunkTokens) tokens; longest prompt \(sizing.longestPrompt)")
        }
        return lines
    }
}
