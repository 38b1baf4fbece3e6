/// The command of one SGLang engine.
///
/// Flags as SGLang's `server_args.py` takes them (`--disaggregation-…`, `--tp-size`, `--pp-size`, `--dp-size`).
package enum SGLangCommand {
    /// Builds the command.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        let group = deployment.group(role)
        let endpoint = group.endpoint(replica: replica)
        let name = role.backendID(replica: replica)
        var arguments = [
            places.python, "-m", "sglang.launch_server", "--model-path", deployment.model, "--host", endpoint.host,
            "--port", "\(endpoint.port)",
        ]
        if deployment.handoff != .none {
            arguments += ["--disaggregation-mode", role.rawValue, "--disaggregation-transfer-backend", "nixl"]
        }
        if deployment.handoff != .none, role == .prefill {
            // Decode engines ask it for the prefill engine's addresses; each prefill engine of a machine has its own.
            let port = deployment.transferAddress(role, replica: replica).bootstrapPort
            arguments += ["--disaggregation-bootstrap-port", "\(port)"]
        }
        if group.tensorParallel > 1 { arguments += ["--tp-size", "\(group.tensorParallel)"] }
        if group.pipelineParallel > 1 { arguments += ["--pp-size", "\(group.pipelineParallel)"] }
        if group.transfer.dataParallel > 1 { arguments += ["--dp-size", "\(group.transfer.dataParallel)"] }
        var environment = [
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": VLLMCommand.gpus(deployment, role, replica: replica).map(String.init)
                .joined(separator: ","),
            "UCX_TLS": "cuda_ipc,cuda_copy,tcp",
        ]
        environment.merge(group.environment) { _, own in own }
        return EngineCommand(
            name: name, arguments: arguments + group.extraArguments, environment: environment,
            logFile: places.path("\(name).log"))
    }
}
