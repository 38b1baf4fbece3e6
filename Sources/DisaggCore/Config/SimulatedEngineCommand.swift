/// The command of one simulated engine: this package's own executable.
package enum SimulatedEngineCommand {
    /// Builds the command; flags that a hand-off does not need are left out.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        let group = deployment.group(role)
        let endpoint = group.endpoint(replica: replica)
        let name = role.backendID(replica: replica)
        let changesRoles = deployment.handoff == .lmcacheMP && deployment.lmcache.enginesChangeRoles
        var arguments = [
            places.launcher, "simulate", "--role", changesRoles ? "both" : role.rawValue, "--host", endpoint.host,
            "--port", "\(endpoint.port)",
            "--model", deployment.model, "--handoff", deployment.handoff.rawValue,
        ]
        if group.worldSize > 1 { arguments += ["--ranks", "\(group.worldSize)"] }
        let transfer = deployment.transferAddress(role, replica: replica)
        if transfer.dataParallel > 1 { arguments += ["--data-parallel", "\(transfer.dataParallel)"] }
        func sideChannel(_ port: Int) {
            arguments += ["--side-channel-host", transfer.host, "--side-channel-port", "\(port)"]
        }
        let notify = Endpoint(host: LMCacheFile.notifyHost(deployment), port: deployment.proxy.notify.port)
        switch deployment.handoff {
        case .lmcache: arguments += lmcache(deployment, role, replica: replica)
        case .lmcacheMP:
            guard role == .prefill || changesRoles else { break }
            if deployment.lmcache.storesOnFirstRankOnly { arguments.append("--first-rank-only") }
            arguments += ["--telemetry", notify.description]
        case .nixl:
            sideChannel(transfer.sideChannelPort)
            arguments += leaseArguments(deployment)
            if deployment.handoffOptions.bidirectional { arguments.append("--bidirectional") }
        case .nixlPush:
            sideChannel(transfer.sideChannelPort)
            arguments += ["--engine-id", transfer.engineID] + leaseArguments(deployment)
        case .offloadP2P: sideChannel(transfer.p2pPort)
        case .mooncake, .sglang:
            if role == .prefill { arguments += ["--bootstrap-port", "\(transfer.bootstrapPort)"] }
            if deployment.handoff == .mooncake { arguments += ["--side-channel-host", transfer.host] }
        case .moriio:
            // The simulated engine takes handshakes and notifications on one port.
            sideChannel(transfer.notifyPort)
            arguments += ["--ping", notify.description]
            if deployment.handoffOptions.moriioMode == .read { arguments.append("--read-mode") }
        case .p2pNCCL:
            sideChannel(transfer.zmqPort)
            arguments += ["--ping", notify.description]
        case .llmd, .trtllm: arguments += ["--side-channel-host", transfer.host]
        case .lmcacheLegacy, .plain, .none: break
        }
        arguments += ["--speed", "\(deployment.simulator.speed)", "--gpu", deployment.simulator.gpu]
        if deployment.handoff.runsEagerly || group.extraArguments.contains("--enforce-eager") {
            arguments.append("--eager")
        }
        return EngineCommand(
            name: name, arguments: arguments, environment: group.environment, logFile: places.path("\(name).log"))
    }

    private static func leaseArguments(_ deployment: Deployment) -> [String] {
        let seconds = deployment.handoffOptions.lease.components.seconds
        return seconds == 30 ? [] : ["--lease-seconds", "\(seconds)"]
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
