/// The processes of a deployment, in the order they are started: proxy, decode engines, prefill engines.
package struct LaunchPlan: Sendable, Hashable {
    /// One process to start and how to see that it is ready.
    package struct Process: Sendable, Hashable {
        /// What to start.
        package var command: EngineCommand
        /// The URL that answers 200 once the process can work.
        package var readinessURL: String
        /// The URL that answers 200 as long as the process itself works, whatever others do.
        package var healthURL: String
        /// Where it listens for HTTP, as seen from this machine.
        package var url: String
        /// Every port it will listen on.
        package var ports: [PortClaim]
        /// `proxy`, `decode` or `prefill`.
        package var role: String
        /// The model that `/v1/models` must list; nil where it need not.
        package var model: String?
        /// What its log must say; nil where nothing is known.
        package var evidence: PDEvidence?
        /// Indices of the GPUs it is given; empty for none.
        package var gpus: [Int] = []
    }

    /// The deployment, its engine resolved to a program.
    package var deployment: Deployment
    /// The processes; the proxy is the first.
    package var processes: [Process]

    /// Lays out the processes.
    ///
    /// - Parameters:
    ///   - deployment: `engine` is `vllm` or `simulated`; `auto` counts as simulated.
    ///   - places: programs and directory.
    package init(_ deployment: Deployment, places: CommandPlaces) {
        self.deployment = deployment
        let claims = deployment.portClaims
        let proxyURL = "http://\(Self.reachable(deployment.proxy.listen))"
        processes = [
            Process(
                command: ProxyCommand.make(deployment, places: places), readinessURL: "\(proxyURL)/ready",
                healthURL: "\(proxyURL)/health", url: proxyURL, ports: claims.filter { $0.process == "proxy" },
                role: "proxy")
        ]
        for role in [BackendRole.decode, .prefill]
        where deployment.group(role).urls.isEmpty && deployment.uses(role) {
            for replica in deployment.group(role).endpoints.indices {
                processes.append(Self.engine(deployment, role, replica: replica, places: places))
            }
        }
    }

    private static func engine(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> Process {
        let isVLLM = deployment.engine == .vllm
        let group = deployment.group(role)
        let url = "http://\(reachable(group.endpoint(replica: replica)))"
        var process = Process(
            command: isVLLM
                ? VLLMCommand.make(deployment, role, replica: replica, places: places)
                : SimulatedEngineCommand.make(deployment, role, replica: replica, places: places),
            readinessURL: "\(url)/health", healthURL: "\(url)/health", url: url,
            ports: deployment.portClaims(role, replica: replica), role: role.rawValue)
        let namesItself = group.extraArguments.contains { $0.hasPrefix("--served-model-name") }
        process.model = namesItself ? nil : deployment.model
        guard isVLLM else { return process }
        process.gpus = VLLMCommand.gpus(deployment, role, replica: replica)
        if deployment.handoff == .lmcache {
            process.evidence = PDEvidence(
                allocPorts: role == .decode ? group.receiverPorts(replica: replica).allocPorts : [])
        }
        return process
    }

    /// The processes as a ``LaunchMachine`` sees them.
    ///
    /// An LMCache prefill engine follows the decode engines: once it has talked to one, it never reaches its successor, and
    /// may block for ever while there is none (LMCache 0.5.6, issue nixl#1983). Other hand-offs meet anew.
    package var members: [LaunchMachine.Member] {
        let couples = deployment.handoff == .lmcache || deployment.handoff == .lmcacheLegacy
        let decoders = processes.indices.filter { processes[$0].role == BackendRole.decode.rawValue }
        return processes.map { process in
            let follows = couples && process.role == BackendRole.prefill.rawValue
            return LaunchMachine.Member(role: process.role, follows: follows ? decoders : [])
        }
    }

    /// What is sent through the proxy before the deployment counts as up; nil where there is no hand-off to prove.
    package var proof: PDProof? {
        guard deployment.handoff != .none else { return nil }
        let engines = max(deployment.prefill.endpoints.count, deployment.decode.endpoints.count)
        return PDProof(
            proxyURL: processes[0].url, model: deployment.model,
            // A large deployment is not asked for ever.
            requests: min(engines, 16), timeout: min(deployment.proxy.prefillTimeout, .seconds(120)))
    }

    /// A request that works when it is pasted into a shell.
    package var curlLine: String {
        let body =
            "{\"model\": \(JSONString.encode(deployment.model)), \"prompt\": \"Hello, my name is\", "
            + "\"max_tokens\": 16}"
        return "curl \(processes[0].url)/v1/completions -H 'Content-Type: application/json' "
            + "-d \(ShellText.quoted(body))"
    }

    /// An address to connect to: a server that listens on all addresses is reached over loopback.
    private static func reachable(_ endpoint: Endpoint) -> Endpoint {
        switch endpoint.host {
        case "0.0.0.0", "*": Endpoint(host: "127.0.0.1", port: endpoint.port)
        case "::": Endpoint(host: "::1", port: endpoint.port)
        default: endpoint
        }
    }
}
