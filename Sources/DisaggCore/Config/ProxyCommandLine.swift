/// What a proxy's command line says about a deployment; the flags of LMCache's example proxy and the short form.
///
/// Port lists follow LMCache's meaning: the elements of `decoderInitPorts` are *ranks* of one decoder, not decoders. With
/// one decoder address and `decoders` above 1, decoder *i* adds *i* to its HTTP port and to every rank's port; with
/// explicit lists of addresses each decoder has the same rank ports, which is right only on different hosts.
public struct ProxyCommandLine: Sendable {
    /// `--prefiller-host`, comma-separated.
    public var prefillerHosts = ["localhost"]
    /// `--prefiller-port`, comma-separated.
    public var prefillerPorts = [8100]
    /// `--num-prefillers`
    public var prefillers = 1
    /// `--decoder-host`, comma-separated.
    public var decoderHosts = ["localhost"]
    /// `--decoder-port`, comma-separated.
    public var decoderPorts = [8200]
    /// `--num-decoders`
    public var decoders = 1
    /// `--decoder-init-port`: one a rank.
    public var decoderInitPorts = [8300]
    /// `--decoder-alloc-port`: one a rank.
    public var decoderAllocPorts = [8400]

    /// Creates LMCache's defaults.
    public init() {}

    /// Writes the addresses into a deployment.
    ///
    /// - Throws: ``DisaggError`` where counts and lists contradict each other.
    public func apply(to deployment: inout Deployment) throws(DisaggError) {
        deployment.prefill.urls = try Self.expand(
            hosts: prefillerHosts, ports: prefillerPorts, count: prefillers, flag: "prefiller")
        deployment.decode.urls = try Self.expand(
            hosts: decoderHosts, ports: decoderPorts, count: decoders, flag: "decoder")
        guard decoderInitPorts.count == decoderAllocPorts.count, !decoderInitPorts.isEmpty else {
            throw DisaggError(
                .badRequest,
                "--decoder-init-port and --decoder-alloc-port need the same number of ports, one a rank; "
                    + "got \(decoderInitPorts.count) and \(decoderAllocPorts.count)")
        }
        deployment.prefill.tensorParallel = decoderInitPorts.count
        deployment.decode.tensorParallel = decoderInitPorts.count
        let steps = decoders > 1 && decoderHosts.count == 1 && decoderPorts.count == 1
        deployment.decode.explicitReceiverPorts = deployment.decode.urls.indices.map { index in
            let offset = steps ? index : 0
            return ReceiverPorts(
                initPorts: decoderInitPorts.map { $0 + offset }, allocPorts: decoderAllocPorts.map { $0 + offset })
        }
        try Self.checkReceivers(deployment)
    }

    /// Hosts and ports as LMCache's proxy pairs them.
    static func expand(hosts: [String], ports: [Int], count: Int, flag: String) throws(DisaggError) -> [Endpoint] {
        guard count >= 1 else {
            throw DisaggError(.badRequest, "--num-\(flag)s must be 1 or more, got \(count)")
        }
        if let port = ports.first(where: { !(1...65535).contains($0) }) {
            throw DisaggError(.badRequest, "--\(flag)-port: expected 1...65535, got \(port)")
        }
        if hosts.count == 1, ports.count == 1 {
            guard ports[0] + count - 1 <= 65535 else {
                throw DisaggError(
                    .badRequest,
                    "--num-\(flag)s \(count) counts up from --\(flag)-port \(ports[0]) beyond 65535; start lower")
            }
            return (0..<count).map { Endpoint(host: hosts[0], port: ports[0] + $0) }
        }
        let total = max(hosts.count, ports.count)
        guard hosts.count == total || hosts.count == 1, ports.count == total || ports.count == 1 else {
            throw DisaggError(
                .badRequest,
                "--\(flag)-host has \(hosts.count) and --\(flag)-port \(ports.count) elements; give as many of both, or one of either"
            )
        }
        guard count == 1 || count == total else {
            throw DisaggError(
                .badRequest,
                "--num-\(flag)s is \(count), but the lists name \(total) \(flag)s; leave it out or make them agree")
        }
        return (0..<total).map {
            Endpoint(host: hosts.count == 1 ? hosts[0] : hosts[$0], port: ports.count == 1 ? ports[0] : ports[$0])
        }
    }

    /// Two decoders on one host must not share a receiver port: each would take the other's KV, in silence.
    private static func checkReceivers(_ deployment: Deployment) throws(DisaggError) {
        var owners: [Endpoint: String] = [:]
        for backend in deployment.backends(.decode) {
            guard let receiver = backend.receiver else { continue }
            for port in receiver.initPorts + receiver.allocPorts {
                let endpoint = Endpoint(host: receiver.host, port: port)
                if let owner = owners.updateValue(backend.id, forKey: endpoint) {
                    throw DisaggError(
                        .badRequest,
                        "receiver port \(endpoint) is used by \(owner) and \(backend.id); "
                            + "space --decoder-init-port and --decoder-alloc-port by the number of decoders")
                }
            }
        }
    }

    /// A comma-separated list of ports.
    public static func ports(_ text: String, flag: String) throws(DisaggError) -> [Int] {
        var ports: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let port = Int(part.filter { $0 != " " }), (1...65535).contains(port) else {
                throw DisaggError(.badRequest, "\(flag): expected ports 1...65535 separated by commas, got \"\(text)\"")
            }
            ports.append(port)
        }
        return ports
    }
}

extension Endpoint {
    /// Reads `http://host:port`, `host:port` or `[v6]:port`.
    ///
    /// - Throws: ``DisaggError`` where the text is none of these; `flag` names where it stood.
    public init(parsing text: String, flag: String) throws(DisaggError) {
        var rest = Substring(text)
        if rest.hasPrefix("https://") {
            throw DisaggError(.badRequest, "\(flag): https:// is not supported yet, got \"\(text)\"; use http://")
        }
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        // A notification address is no URL.
        let form = flag == "--notify" ? "host:port" : "http://host:port"
        guard let colon = rest.lastIndex(of: ":"), let port = Int(rest[rest.index(after: colon)...]),
            (0...65535).contains(port), rest.startIndex < colon
        else { throw DisaggError(.badRequest, "\(flag): expected \(form), got \"\(text)\"") }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/") else {
            throw DisaggError(.badRequest, "\(flag): expected \(form), got \"\(text)\"")
        }
        self.init(host: String(host), port: port)
    }
}
