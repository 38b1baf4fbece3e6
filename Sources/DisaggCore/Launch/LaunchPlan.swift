/// The processes of a deployment, in the order they are started: proxy, decode engines, prefill engines.
package struct LaunchPlan: Sendable, Hashable {
    /// One process to start and how to see that it is ready.
    package struct Process: Sendable, Hashable {
        /// What to start.
        package var command: EngineCommand
        /// The URL that answers 200 once the process can work.
        package var readinessURL: String
        /// Where it listens for HTTP, as seen from this machine.
        package var url: String
        /// Every port it will listen on.
        package var ports: [PortClaim]
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
                url: proxyURL,
                ports: claims.filter { $0.process == "proxy" })
        ]
        for role in [BackendRole.decode, .prefill] where deployment.group(role).urls.isEmpty {
            for (replica, endpoint) in deployment.group(role).endpoints.enumerated() {
                let command =
                    deployment.engine == .vllm
                    ? VLLMCommand.make(deployment, role, replica: replica, places: places)
                    : SimulatedEngineCommand.make(deployment, role, replica: replica, places: places)
                let url = "http://\(Self.reachable(endpoint))"
                processes.append(
                    Process(
                        command: command, readinessURL: "\(url)/health", url: url,
                        ports: deployment.portClaims(role, replica: replica)))
            }
        }
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
