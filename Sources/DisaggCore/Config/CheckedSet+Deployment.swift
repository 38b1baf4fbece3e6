extension CheckedSet {
    /// The set that a deployment's own commands and files make: what was generated is read back like anybody's files, so
    /// that `extraArgs` and `env`, which come last and win, are looked at too.
    package init(_ deployment: Deployment, places: CommandPlaces) {
        handoff = deployment.handoff
        firstToken = deployment.firstToken
        shape = deployment.modelShape
        lmcacheVersion = deployment.lmcacheVersion
        var hosts: Set<String> = [CheckRules.machine(deployment.proxy.listen.host)]
        for role in BackendRole.allCases {
            let group = deployment.group(role)
            for (replica, endpoint) in group.endpoints.enumerated() {
                hosts.insert(CheckRules.machine(endpoint.host))
                let command = VLLMCommand.make(deployment, role, replica: replica, places: places)
                var engine = Engine(command, role: role, version: lmcacheVersion)
                engine.host = endpoint.host
                engine.tensorParallel = group.tensorParallel
                engine.pipelineParallel = group.pipelineParallel
                engines.append(engine)
            }
        }
        isMultiHost = hosts.count > 1
        var proxy = Proxy()
        proxy.notify = deployment.proxy.notify
        proxy.receivers = deployment.backends(.decode).compactMap(\.receiver)
        proxy.expectedNotifications = deployment.expectedNotifications
        self.proxy = proxy
    }
}

extension CheckedSet.Engine {
    /// The engine that a command starts; its LMCache file is among the command's files.
    package init(_ command: EngineCommand, role: BackendRole, version: LMCacheVersion) {
        self.init(name: command.name, role: role)
        arguments = EngineArguments(command.arguments)
        environment = command.environment
        transfer = arguments.flatMap(KVTransferView.init)
        let path = command.environment["LMCACHE_CONFIG_FILE"]
        guard let file = command.files.first(where: { $0.path == path }) else { return }
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        document = try? LMCacheDocument(yaml: file.contents, fileName: name, version: version)
        document?.apply(environment: command.environment, version: version)
    }
}
