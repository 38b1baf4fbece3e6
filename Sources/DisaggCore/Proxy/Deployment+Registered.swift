extension Deployment {
    /// An engine that reported itself.
    ///
    /// Its KV address is `ip:port` from P2pNccl and `host:ip,handshake:port,notify:port` from MoRIIO (vLLM 0.33.0
    /// `p2p_nccl_engine.py`, `moriio_connector.py`); what it does not say is as the deployment has it.
    func backend(_ registration: EngineRegistration) -> Backend {
        var backend = backend(registration.role, at: registration.http)
        backend.transfer.host = registration.http.host
        backend.transfer.tensorParallel = registration.tensorParallel
        backend.transfer.dataParallel = registration.dataParallel
        if let endpoint = ConfigText.endpoint(registration.zmqAddress), !registration.zmqAddress.contains(",") {
            backend.transfer.host = endpoint.host
            backend.transfer.zmqPort = endpoint.port
        }
        for part in registration.zmqAddress.split(separator: ",") {
            guard let colon = part.firstIndex(of: ":") else { continue }
            let value = String(part[part.index(after: colon)...])
            let port = Int(value).flatMap { (1...65535).contains($0) ? $0 : nil }
            switch part[..<colon] {
            case "host": backend.transfer.host = value
            case "handshake": backend.transfer.handshakePort = port ?? backend.transfer.handshakePort
            case "notify": backend.transfer.notifyPort = port ?? backend.transfer.notifyPort
            default: break
            }
        }
        return backend
    }
}
