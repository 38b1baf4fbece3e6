/// Writes a deployment as the YAML file that loads back equal to it.
package enum DeploymentWriter {
    /// The file's text: every field, in a fixed order, defaults included, so the file also shows what is in force.
    package static func yaml(_ deployment: Deployment) -> String {
        var lines = [
            "# The deployment as it was resolved: every field is written out, defaults included.",
            "model: \(YAMLText.scalar(deployment.model))",
        ]
        if let file = deployment.modelConfiguration { lines.append("modelConfig: \(YAMLText.scalar(file))") }
        lines += [
            "handoff: \(YAMLText.scalar(deployment.handoff.rawValue))",
            "firstToken: \(deployment.firstToken.rawValue)",
            "engine: \(deployment.engine.rawValue)",
        ]
        if let version = deployment.vllmVersion { lines.append("vllmVersion: \"\(version)\"") }
        lines.append("prefill:")
        lines += group(deployment.prefill)
        lines.append("decode:")
        lines += group(deployment.decode)
        lines.append("proxy:")
        lines += proxy(deployment.proxy)
        lines += RoutingWriter.lines(deployment.routing)
        lines += AdmissionReader.lines(deployment.admission)
        lines += conditional(deployment.conditional)
        lines.append("lmcache:")
        lines += LMCacheSettingsText.lines(deployment.lmcache)
        lines += HandoffSections.yaml(deployment.handoffOptions)
        lines += [
            "simulator:", "  speed: \(deployment.simulator.speed)",
            "  gpu: \(YAMLText.scalar(deployment.simulator.gpu))",
        ]
        lines += discovery(deployment.discovery)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func group(_ group: EngineGroup) -> [String] {
        // With `urls` the number is theirs, and a file that gives another one is refused.
        var lines = group.urls.isEmpty || group.replicas != 1 ? ["  replicas: \(group.replicas)"] : []
        lines += [
            "  tensorParallel: \(group.tensorParallel)",
            "  pipelineParallel: \(group.pipelineParallel)",
            "  host: \(YAMLText.scalar(group.host))",
            "  port: \(group.port)",
        ]
        if !group.urls.isEmpty {
            lines.append("  urls: \(YAMLText.list(group.urls.map { YAMLText.quoted($0.description) }))")
        }
        if let host = group.receiverHost { lines.append("  receiverHost: \(YAMLText.scalar(host))") }
        lines += ["  initPort: \(group.initPort)", "  allocPort: \(group.allocPort)"]
        if !group.explicitReceiverPorts.isEmpty {
            lines.append("  receiverPorts:")
            for ports in group.explicitReceiverPorts {
                let initPorts = YAMLText.list(ports.initPorts.map(String.init))
                let allocPorts = YAMLText.list(ports.allocPorts.map(String.init))
                lines.append("    - {init: \(initPorts), alloc: \(allocPorts)}")
            }
        }
        if let port = group.sideChannelPort { lines.append("  sideChannelPort: \(port)") }
        lines += HandoffSections.yaml(group.transfer)
        if !group.gpus.isEmpty { lines.append("  gpus: \(YAMLText.list(group.gpus.map(String.init)))") }
        if !group.bindsProcessors { lines.append("  cpuBinding: false") }
        if !group.extraArguments.isEmpty {
            lines.append("  extraArgs:")
            lines += group.extraArguments.map { "    - \(YAMLText.quoted($0))" }
        }
        if !group.environment.isEmpty {
            lines.append("  env:")
            for (name, value) in group.environment.sorted(by: { $0.key < $1.key }) {
                lines.append("    \(YAMLText.scalar(name)): \(YAMLText.quoted(value))")
            }
        }
        return lines
    }

    private static func discovery(_ discovery: DiscoverySettings) -> [String] {
        var lines = ["discovery:", "  interval: \(ConfigText.text(discovery.interval))"]
        for role in BackendRole.allCases where !discovery.names(role).isEmpty {
            let names = discovery.names(role).map { YAMLText.quoted($0.description) }
            lines.append("  \(role.rawValue): \(YAMLText.list(names))")
        }
        if let file = discovery.file { lines.append("  file: \(YAMLText.scalar(file))") }
        lines.append("  pings: \(discovery.pings)")
        lines.append("  pingTimeout: \(ConfigText.text(discovery.pingTimeout))")
        if let server = discovery.nameserver {
            lines.append("  nameserver: \(YAMLText.quoted(server.description))")
        }
        return lines
    }

    private static func proxy(_ proxy: ProxySettings) -> [String] {
        var lines = [
            "  listen: \(YAMLText.quoted(proxy.listen.description))",
            "  notify: \(YAMLText.quoted(proxy.notify.description))",
        ]
        if let threads = proxy.threads { lines.append("  threads: \(threads)") }
        if !proxy.admin.isEnabled { lines.append("  admin: off") }
        if let admin = proxy.admin.listen { lines.append("  admin: \(YAMLText.quoted(admin.description))") }
        if let file = proxy.admin.tokenFile { lines.append("  adminTokenFile: \(YAMLText.scalar(file))") }
        if let file = proxy.accessLog.path { lines.append("  accessLog: \(YAMLText.quoted(file))") }
        lines.append("  accessLogFormat: \(proxy.accessLog.format.rawValue)")
        return lines + [
            "  maxBody: \(ConfigText.text(bytes: proxy.maximumBodyBytes))",
            "  maxHead: \(ConfigText.text(bytes: proxy.maximumHeadBytes))",
            "  requestReadTimeout: \(ConfigText.text(proxy.requestReadTimeout))",
            "  connectTimeout: \(ConfigText.text(proxy.connectTimeout))",
            "  prefillTimeout: \(ConfigText.text(proxy.prefillTimeout))",
            "  notificationTimeout: \(ConfigText.text(proxy.notificationTimeout))",
            "  decodeIdleTimeout: \(ConfigText.text(proxy.decodeIdleTimeout))",
            "  drainTimeout: \(ConfigText.text(proxy.drainTimeout))",
        ] + requests(proxy.requests)
    }
}
