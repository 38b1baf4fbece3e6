/// The command of one simulated engine: this package's own executable.
package enum SimulatedEngineCommand {
    /// Builds the command; flags that a hand-off does not need are left out.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        let group = deployment.group(role)
        let endpoints = group.endpoints
        let port = endpoints.indices.contains(replica) ? endpoints[replica].port : group.port + replica
        let name = "\(role.rawValue)-\(replica)"
        var arguments = [
            places.launcher, "simulate", "--role", role.rawValue, "--port", "\(port)", "--model", deployment.model,
            "--handoff", deployment.handoff.rawValue, "--first-token", deployment.firstToken.rawValue,
        ]
        if role == .decode, deployment.handoff == .lmcache {
            let ports = group.receiverPorts(replica: replica)
            arguments += [
                "--receiver-init-ports", ports.initPorts.map(String.init).joined(separator: ","),
                "--receiver-alloc-ports", ports.allocPorts.map(String.init).joined(separator: ","),
            ]
        }
        if group.tensorParallel > 1 { arguments += ["--tensor-parallel", "\(group.tensorParallel)"] }
        if deployment.handoff == .nixl {
            arguments += ["--side-channel-port", "\(deployment.sideChannelPort(role, replica: replica))"]
        }
        arguments += ["--speed", "\(deployment.simulator.speed)"]
        return EngineCommand(
            name: name, arguments: arguments, environment: group.environment, logFile: places.path("\(name).log"))
    }
}
