/// Reads the sections of a deployment file into a ``Deployment``.
package struct DeploymentReader {
    package static let rootKeys = [
        "model", "modelConfig", "handoff", "firstToken", "engine", "vllmVersion", "prefill", "decode", "proxy",
        "routing", "admission", "lmcache", "handoffOptions", "conditional",
        "simulator", "discovery",
    ]
    package static let groupKeys =
        [
            "replicas", "tensorParallel", "pipelineParallel", "host", "port", "urls", "receiverHost", "initPort",
            "allocPort", "receiverPorts", "sideChannelPort", "gpus", "cpuBinding",
            "extraArgs", "env",
        ] + HandoffSections.groupKeys
    package static let proxyKeys = [
        "listen", "notify", "threads", "maxBody", "maxHead", "requestReadTimeout", "connectTimeout", "prefillTimeout",
        "notificationTimeout", "decodeIdleTimeout", "drainTimeout", "admin", "adminTokenFile", "accessLog",
        "accessLogFormat", "decisionHeader", "allowPrefillers",
    ]
    package static let simulatorKeys = ["speed", "gpu"]

    /// What was read.
    package private(set) var deployment = Deployment()
    /// What was wrong, and where fields stand.
    package private(set) var reader = ConfigReader()

    /// Reads a whole file.
    package init(_ root: YAMLNode) {
        var deployment = Deployment()
        var storesOnFirstRankOnly: Bool?
        reader.members(of: root, at: "", known: Self.rootKeys) { reader, key, node, path in
            switch key {
            case "model": reader.string(node, at: path).map { deployment.model = $0 }
            case "modelConfig": reader.string(node, at: path).map { deployment.modelConfiguration = $0 }
            case "handoff": reader.choice(node, at: path, of: HandoffKind.self).map { deployment.handoff = $0 }
            case "firstToken":
                reader.choice(node, at: path, of: FirstTokenSource.self).map { deployment.firstToken = $0 }
            case "engine": reader.choice(node, at: path, of: EngineKind.self).map { deployment.engine = $0 }
            case "vllmVersion":
                guard let text = reader.string(node, at: path) else { return }
                deployment.vllmVersion = LMCacheVersion(text)
                if deployment.vllmVersion == nil {
                    reader.note("expected a version such as 0.24.0, got \"\(text)\"", at: path)
                }
            case "prefill": Self.group(node, path, &reader, &deployment.prefill)
            case "decode": Self.group(node, path, &reader, &deployment.decode)
            case "proxy": Self.proxy(node, path, &reader, &deployment.proxy)
            case "routing": RoutingReader.read(node, path, &reader, &deployment.routing)
            case "admission": AdmissionReader.read(node, path, &reader, &deployment.admission)
            case "conditional": Self.conditional(node, path, &reader, &deployment.conditional)
            case "lmcache": storesOnFirstRankOnly = LMCacheSettingsText.read(node, path, &reader, &deployment.lmcache)
            case "handoffOptions":
                HandoffSections.read(node, at: path, &reader, into: &deployment.handoffOptions)
            case "simulator":
                reader.members(of: node, at: path, known: Self.simulatorKeys) { reader, key, node, path in
                    if key == "gpu" {
                        reader.string(node, at: path).map { deployment.simulator.gpu = $0 }
                    } else {
                        reader.number(node, at: path).map { deployment.simulator.speed = $0 }
                    }
                }
            case "discovery": DiscoveryReader.read(node, path, &reader, &deployment.discovery)
            default: break
            }
        }
        do throws(ModelConfigurationFile.Failure) {
            deployment.configuredShape = try ModelConfigurationFile.shape(of: deployment)
        } catch {
            reader.note(error.description, at: deployment.modelConfiguration == nil ? "model" : "modelConfig")
        }
        // MLA models store on one rank whatever the file leaves out; a proxy that waits for more would wait for ever.
        deployment.lmcache.storesOnFirstRankOnly =
            storesOnFirstRankOnly ?? (deployment.modelShape?.isLatent ?? false)
        DeploymentChecks.run(deployment, &reader)
        self.deployment = deployment
    }

    private static func group(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ group: inout EngineGroup
    ) {
        reader.members(of: node, at: path, known: groupKeys) { reader, key, node, path in
            switch key {
            case "replicas": reader.integer(node, at: path, in: 1...1024).map { group.replicas = $0 }
            case "tensorParallel": reader.integer(node, at: path, in: 1...128).map { group.tensorParallel = $0 }
            case "pipelineParallel": reader.integer(node, at: path, in: 1...128).map { group.pipelineParallel = $0 }
            case "host": reader.string(node, at: path).map { group.host = $0 }
            case "port": reader.port(node, at: path).map { group.port = $0 }
            case "urls":
                for element in reader.elements(of: node, at: path) ?? [] {
                    reader.endpoint(element.node, at: element.path, ports: 1...65535).map { group.urls.append($0) }
                }
            case "receiverHost": reader.string(node, at: path).map { group.receiverHost = $0 }
            case "initPort": reader.port(node, at: path).map { group.initPort = $0 }
            case "allocPort": reader.port(node, at: path).map { group.allocPort = $0 }
            case "receiverPorts":
                for element in reader.elements(of: node, at: path) ?? [] {
                    group.explicitReceiverPorts.append(receiverPorts(element.node, element.path, &reader))
                }
            case "sideChannelPort": group.sideChannelPort = reader.port(node, at: path) ?? group.sideChannelPort
            case "gpus":
                for element in reader.elements(of: node, at: path) ?? [] {
                    reader.integer(element.node, at: element.path, in: 0...1023).map { group.gpus.append($0) }
                }
            case "cpuBinding": reader.bool(node, at: path).map { group.bindsProcessors = $0 }
            case "extraArgs":
                for element in reader.elements(of: node, at: path) ?? [] {
                    reader.string(element.node, at: element.path, emptyAllowed: true).map {
                        group.extraArguments.append($0)
                    }
                }
            case "env": environment(node, path, &reader, &group.environment)
            default: HandoffSections.read(key, node, at: path, &reader, into: &group.transfer)
            }
        }
    }

    private static func receiverPorts(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader
    ) -> ReceiverPorts {
        var ports = ReceiverPorts(initPorts: [], allocPorts: [])
        reader.members(of: node, at: path, known: ["init", "alloc"]) { reader, key, node, path in
            for element in reader.elements(of: node, at: path) ?? [] {
                guard let port = reader.port(element.node, at: element.path) else { continue }
                if key == "init" { ports.initPorts.append(port) } else { ports.allocPorts.append(port) }
            }
        }
        return ports
    }

    private static func environment(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ environment: inout [String: String]
    ) {
        guard case .mapping(let members) = node.content else {
            return reader.note("expected a mapping of names to text, got \(node.summary)", at: path, mark: node.mark)
        }
        for member in members {
            let memberPath = "\(path).\(member.key)"
            let isName = member.key.utf8.allSatisfy { $0 != UInt8(ascii: "=") && $0 > 0x20 } && !member.key.isEmpty
            if !isName {
                reader.note("expected the name of a variable", at: memberPath, mark: member.keyMark)
            }
            reader.string(member.value, at: memberPath, emptyAllowed: true).map { environment[member.key] = $0 }
        }
    }

    private static func proxy(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ proxy: inout ProxySettings
    ) {
        reader.members(of: node, at: path, known: proxyKeys) { reader, key, node, path in
            switch key {
            case "listen": reader.endpoint(node, at: path).map { proxy.listen = $0 }
            case "notify": reader.endpoint(node, at: path).map { proxy.notify = $0 }
            case "threads": proxy.threads = reader.integer(node, at: path, in: 1...1024) ?? proxy.threads
            case "maxBody": reader.bytes(node, at: path, minimum: 1024).map { proxy.maximumBodyBytes = $0 }
            case "maxHead": reader.bytes(node, at: path, minimum: 1024).map { proxy.maximumHeadBytes = $0 }
            case "requestReadTimeout": reader.duration(node, at: path).map { proxy.requestReadTimeout = $0 }
            case "connectTimeout": reader.duration(node, at: path).map { proxy.connectTimeout = $0 }
            case "prefillTimeout": reader.duration(node, at: path).map { proxy.prefillTimeout = $0 }
            case "notificationTimeout": reader.duration(node, at: path).map { proxy.notificationTimeout = $0 }
            case "decodeIdleTimeout": reader.duration(node, at: path).map { proxy.decodeIdleTimeout = $0 }
            case "drainTimeout": reader.duration(node, at: path, zeroAllowed: true).map { proxy.drainTimeout = $0 }
            case "admin":
                proxy.admin.isEnabled = node.content != .scalar("off", plain: true)
                if proxy.admin.isEnabled { proxy.admin.listen = reader.endpoint(node, at: path) }
            case "adminTokenFile": reader.string(node, at: path).map { proxy.admin.tokenFile = $0 }
            case "accessLog": reader.string(node, at: path).map { proxy.accessLog.path = $0 }
            case "accessLogFormat":
                reader.choice(node, at: path, of: AccessLogFormat.self).map { proxy.accessLog.format = $0 }
            case "decisionHeader": reader.bool(node, at: path).map { proxy.requests.showsDecision = $0 }
            case "allowPrefillers": allowPrefillers(node, path, &reader, &proxy.requests)
            default: break
            }
        }
    }
}
