/// The command of every engine of a deployment, also of those that run on other machines.
package enum EngineCommands {
    /// One engine with its command.
    package struct Engine: Sendable, Hashable {
        /// Its half of a generation.
        package var role: BackendRole
        /// Its index in the role's group.
        package var replica: Int
        /// Whether `up` starts it; engines given by `urls` run elsewhere.
        package var isLocal: Bool
        /// The command.
        package var command: EngineCommand
        /// The ports it listens on.
        package var ports: [PortClaim]
    }

    /// One engine's command by the deployment's engine program; `auto` counts as vLLM.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        deployment.engine == .simulated
            ? SimulatedEngineCommand.make(deployment, role, replica: replica, places: places)
            : VLLMCommand.make(deployment, role, replica: replica, places: places)
    }

    /// All engines, decode before prefill as they are started.
    package static func all(_ deployment: Deployment, places: CommandPlaces) -> [Engine] {
        [BackendRole.decode, .prefill].flatMap { role in
            deployment.group(role).endpoints.indices.map { replica in
                Engine(
                    role: role, replica: replica, isLocal: deployment.group(role).urls.isEmpty,
                    command: make(deployment, role, replica: replica, places: places),
                    ports: deployment.portClaims(role, replica: replica))
            }
        }
    }
}
