extension Deployment {
    /// An engine that was found at an address: apart from it, it is taken to be like the deployment's own.
    ///
    /// - Parameter receiverPorts: an LMCache decoder's; those of the group's first replica where nil, for each found
    ///   engine is thought to be alone on its host. Its KV events are looked for at the first replica's ports, too.
    func backend(_ role: BackendRole, at endpoint: Endpoint, receiverPorts: ReceiverPorts? = nil) -> Backend {
        var receiver: PDReceiver?
        if role == .decode, handoff == .lmcache {
            let ports = receiverPorts ?? decode.receiverPorts(replica: 0)
            receiver = PDReceiver(host: endpoint.host, initPorts: ports.initPorts, allocPorts: ports.allocPorts)
        }
        var backend = Backend(
            id: BackendNaming.name(role, endpoint), role: role, host: endpoint.host, port: endpoint.port,
            receiver: receiver)
        backend.transfer = transferAddress(role, replica: 0)
        backend.transfer.host = group(role).transfer.host ?? endpoint.host
        backend.kvEvents = kvEventAddress(role, replica: 0).map { first in
            KVEventAddress(
                publishes: Endpoint(host: endpoint.host, port: first.publishes.port),
                replays: first.replays.map { Endpoint(host: endpoint.host, port: $0.port) })
        }
        return backend
    }
}
