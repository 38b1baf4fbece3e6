/// The `lmcache server` that the engines of the `lmcache-mp` hand-off share.
///
/// Flags as LMCache 0.5.6 takes them (`v1/multiprocess/config.py`, `v1/distributed/config.py`).
package enum LMCacheServerCommand {
    /// What logs and messages call it.
    package static let name = "lmcache-server"

    /// Host memory for KV where the deployment does not say, in bytes.
    private static let defaultBytes = 20 << 30

    /// The port of its HTTP interface, which answers `GET /healthcheck`.
    package static func httpPort(_ deployment: Deployment) -> Int { deployment.lmcache.server.port + 1 }

    /// The ports it listens on.
    package static func ports(_ deployment: Deployment) -> [PortClaim] {
        let server = deployment.lmcache.server
        return [
            PortClaim(endpoint: server, process: name, purpose: "KV", path: "lmcache.server"),
            PortClaim(
                endpoint: Endpoint(host: server.host, port: httpPort(deployment)), process: name, purpose: "HTTP",
                path: "lmcache.server"),
        ]
    }

    /// Builds the command; nil where the hand-off needs no server.
    package static func make(_ deployment: Deployment, places: CommandPlaces) -> EngineCommand? {
        guard deployment.handoff == .lmcacheMP, deployment.engine != .simulated else { return nil }
        let server = deployment.lmcache.server
        let cpu = deployment.lmcache.tiers.cpuBytes
        let bytes = cpu > 0 ? cpu : defaultBytes
        let arguments = [
            places.lmcache, "server", "--host", server.host, "--port", "\(server.port)", "--http-host", server.host,
            "--http-port", "\(httpPort(deployment))", "--chunk-size", "\(deployment.lmcache.chunkSize)",
            "--l1-size-gb", "\(max(1, bytes >> 30))", "--eviction-policy", "LRU",
        ]
        return EngineCommand(
            name: name, arguments: arguments, environment: ["PYTHONHASHSEED": "0"], logFile: places.path("\(name).log"))
    }
}
