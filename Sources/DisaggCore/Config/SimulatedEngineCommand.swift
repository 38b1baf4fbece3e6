/// The command of one simulated engine: this package's own executable.
package enum SimulatedEngineCommand {
    /// Builds the command; flags that a hand-off does not need are left out.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        let group = deployment.group(role)
        let endpoint = group.endpoint(replica: replica)
        let name = role.backendID(replica: replica)
        var arguments = [
            places.launcher, "simulate", "--role", role.rawValue, "--host", endpoint.host, "--port", "\(endpoint.port)",
            "--model", deployment.model, "--handoff", deployment.handoff.rawValue,
        ]
        if group.worldSize > 1 { arguments += ["--ranks", "\(group.worldSize)"] }
        switch deployment.handoff {
        case .lmcache: arguments += lmcache(deployment, role, replica: replica)
        case .nixl:
            arguments += [
                "--side-channel-host", endpoint.host,
                "--side-channel-port", "\(deployment.sideChannelPort(role, replica: replica))",
            ]
        default: break
        }
        arguments += ["--speed", "\(deployment.simulator.speed)"]
        return EngineCommand(
            name: name, arguments: arguments, environment: group.environment, logFile: places.path("\(name).log"))
    }

    private static func lmcache(_ deployment: Deployment, _ role: BackendRole, replica: Int) -> [String] {
        var arguments = ["--first-token", deployment.firstToken.rawValue]
        if deployment.lmcache.storesOnFirstRankOnly { arguments.append("--first-rank-only") }
        switch role {
        case .prefill:
            let host = LMCacheFile.notifyHost(deployment)
            arguments += ["--notify-host", host, "--notify-port", "\(deployment.proxy.notify.port)"]
        case .decode:
            let ports = deployment.decode.receiverPorts(replica: replica)
            arguments += ["--init-port"] + ports.initPorts.map(String.init)
            arguments += ["--alloc-port"] + ports.allocPorts.map(String.init)
            // The simulator's chunks hold 256 tokens whatever `chunkSize` says.
            if let chunk = LMCacheFile.chunkBytes(deployment), chunk > 0 {
                let bytes = LMCacheFile.bufferBytes(deployment, .decode)
                let tokens = bytes / chunk * deployment.lmcache.chunkSize
                arguments += ["--buffer-chunks", "\(max(1, tokens / 256))"]
            }
        }
        return arguments
    }
}
