/// Reads the section `discovery` of a deployment file.
enum DiscoveryReader {
    static let keys = ["prefill", "decode", "file", "pings", "pingTimeout", "interval", "nameserver"]

    static func read(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ discovery: inout DiscoverySettings
    ) {
        reader.members(of: node, at: path, known: keys) { reader, key, node, path in
            switch key {
            case "prefill": discovery.prefill = names(node, path, &reader)
            case "decode": discovery.decode = names(node, path, &reader)
            case "file": discovery.file = reader.string(node, at: path) ?? discovery.file
            case "pings": discovery.pings = reader.bool(node, at: path) ?? discovery.pings
            case "pingTimeout": discovery.pingTimeout = reader.duration(node, at: path) ?? discovery.pingTimeout
            case "interval": discovery.interval = reader.duration(node, at: path) ?? discovery.interval
            case "nameserver":
                discovery.nameserver = reader.endpoint(node, at: path, ports: 1...65535) ?? discovery.nameserver
            default: break
            }
        }
    }

    private static func names(_ node: YAMLNode, _ path: String, _ reader: inout ConfigReader) -> [DiscoveryName] {
        var names: [DiscoveryName] = []
        for element in reader.elements(of: node, at: path) ?? [] {
            guard let text = reader.string(element.node, at: element.path) else { continue }
            if let name = name(text) {
                names.append(name)
            } else {
                reader.note(
                    "expected host:port, or a service as _vllm._tcp.prefill.example, got \"\(text)\"",
                    at: element.path, mark: element.node.mark)
            }
        }
        return names
    }

    /// Reads `host:port`, or a name of `SRV` records: those begin with an underscore (RFC 2782).
    static func name(_ text: String) -> DiscoveryName? {
        if text.hasPrefix("_") {
            let labels = text.split(separator: ".", omittingEmptySubsequences: false)
            guard labels.count >= 3, text.utf8.count <= 253,
                labels.allSatisfy({ (1...63).contains($0.utf8.count) && !$0.contains(where: \.isWhitespace) })
            else { return nil }
            return .service(text)
        }
        guard let endpoint = ConfigText.endpoint(text), endpoint.port > 0 else { return nil }
        return .addresses(endpoint)
    }
}
