/// A TCP port that one process of a deployment listens on.
package struct PortClaim: Sendable, Hashable {
    /// The address it binds.
    package var endpoint: Endpoint
    /// The process, for example `decode-0`.
    package var process: String
    /// What the port is for, for example `HTTP` or `PD init, rank 1`.
    package var purpose: String
    /// The field of the deployment file that decides it.
    package var path: String

    /// Whether two claims cannot both be met on one machine.
    package func conflicts(with other: PortClaim) -> Bool {
        guard endpoint.port == other.endpoint.port, endpoint.port != 0 else { return false }
        let left = Self.canonical(endpoint.host)
        let right = Self.canonical(other.endpoint.host)
        return left == right || left == Self.everywhere || right == Self.everywhere
    }

    private static let everywhere = "*"

    private static func canonical(_ host: String) -> String {
        switch host.lowercased() {
        case "0.0.0.0", "::", "*": everywhere
        case "localhost", "127.0.0.1", "::1": "localhost"
        case let other: other
        }
    }
}

extension Deployment {
    /// Every port the deployment's own processes listen on; engines given by `urls` run elsewhere and are left out,
    /// but for the ports that the proxy sends prefill engines to.
    package var portClaims: [PortClaim] {
        var claims = [
            PortClaim(endpoint: proxy.listen, process: "proxy", purpose: "HTTP", path: "proxy.listen")
        ]
        if let admin = proxy.adminEndpoint {
            claims.append(PortClaim(endpoint: admin, process: "proxy", purpose: "admin", path: "proxy.admin"))
        }
        if handoff == .lmcache {
            claims.append(
                PortClaim(endpoint: proxy.notify, process: "proxy", purpose: "notifications", path: "proxy.notify"))
        }
        if handoff == .lmcacheMP, engine != .simulated { claims += LMCacheServerCommand.ports(self) }
        for role in BackendRole.allCases { claims += portClaims(role) }
        return claims
    }

    /// The ports of one role's engines, replica by replica.
    package func portClaims(_ role: BackendRole) -> [PortClaim] {
        group(role).endpoints.indices.flatMap { portClaims(role, replica: $0) }
    }

    /// The ports of one engine.
    package func portClaims(_ role: BackendRole, replica: Int) -> [PortClaim] {
        let group = group(role)
        guard group.endpoints.indices.contains(replica) else { return [] }
        let endpoint = group.endpoints[replica]
        let name = role.backendID(replica: replica)
        let section = role.rawValue
        var claims = [
            PortClaim(
                endpoint: endpoint, process: name, purpose: "HTTP",
                path: group.urls.isEmpty ? "\(section).port" : "\(section).urls[\(replica)]")
        ]
        func claim(_ ports: [Int], _ purpose: String, _ field: String, explicit: String? = nil) {
            let host = group.receiverHost ?? endpoint.host
            for (rank, port) in ports.enumerated() {
                let path = explicit.map { "\(section).receiverPorts[\(replica)].\($0)" } ?? "\(section).\(field)"
                claims.append(
                    PortClaim(
                        endpoint: Endpoint(host: host, port: port), process: name,
                        purpose: ports.count > 1 ? "\(purpose), rank \(rank)" : purpose, path: path))
            }
        }
        switch handoff {
        case .lmcache, .lmcacheLegacy:
            guard role == .decode else { break }
            let ports = group.receiverPorts(replica: replica)
            let isExplicit = replica < group.explicitReceiverPorts.count
            claim(ports.initPorts, "PD init", "initPort", explicit: isExplicit ? "init" : nil)
            guard handoff == .lmcache else { break }
            claim(ports.allocPorts, "PD alloc", "allocPort", explicit: isExplicit ? "alloc" : nil)
            claim(group.queryPorts(replica: replica), "PD query", "queryPort")
        case .nixl:
            let first = sideChannelPort(role, replica: replica)
            claim((0..<group.sideChannelStep).map { first + $0 }, "NIXL side channel", "sideChannelPort")
        case .nixlPush:
            let first = sideChannelPort(role, replica: replica)
            claim((0..<group.sideChannelStep).map { first + $0 }, "NIXL side channel", "sideChannelPort")
        case .mooncake, .sglang:
            guard role == .prefill else { break }
            claim(transferPorts(.bootstrap, role, replica), "bootstrap", "bootstrapPort")
        case .offloadP2P: claim(transferPorts(.p2p, role, replica), "P2P side channel", "p2pPort")
        case .p2pNCCL: claim(transferPorts(.zmq, role, replica), "KV", "zmqPort")
        case .moriio:
            claim(transferPorts(.handshake, role, replica), "handshake", "handshakePort")
            claim(transferPorts(.notify, role, replica), "notify", "notifyPort")
        case .lmcacheMP, .trtllm, .llmd, .plain, .none: break
        }
        return claims
    }

    private func transferPorts(_ port: KVPort, _ role: BackendRole, _ replica: Int) -> [Int] {
        let first = transferPort(port, role, replica: replica)
        return (0..<group(role).portStep(port)).map { first + $0 }
    }
}
