internal import NIOCore

/// The JSON objects that the admin API takes.
struct AdminBody {
    /// The largest body.
    static let maximumBytes = 64 << 10

    private let members: [String: JSONView]

    /// Reads a body.
    ///
    /// - Parameter known: the members that may be there; an unknown one is an error, for it would have no effect.
    init(_ body: ByteBuffer, known: [String]) throws(DisaggError) {
        let view: JSONView
        do {
            view = try JSONView(parsing: Array(body.readableBytesView))
        } catch {
            throw DisaggError(.badRequest, "request body is not valid JSON: \(error.reason) at byte \(error.offset)")
        }
        guard view.kind == .object else {
            throw DisaggError(.badRequest, "expected a JSON object with \(known.joined(separator: ", "))")
        }
        var members: [String: JSONView] = [:]
        view.forEachMember { members[$0] = $1 }
        if let unknown = members.keys.sorted().first(where: { !known.contains($0) }) {
            throw DisaggError(
                .badRequest, "unknown member \"\(unknown.prefix(64))\"; known are \(known.joined(separator: ", "))",
                parameter: String(unknown.prefix(64)))
        }
        self.members = members
    }

    /// `role`: prefill or decode.
    func role() throws(DisaggError) -> BackendRole {
        guard let role = members["role"]?.string.flatMap(BackendRole.init(rawValue:)) else {
            throw DisaggError(.badRequest, "role: expected \"prefill\" or \"decode\"", parameter: "role")
        }
        return role
    }

    /// `url`: the engine's address.
    func url() throws(DisaggError) -> Endpoint {
        guard let endpoint = members["url"]?.string.flatMap(ConfigText.endpoint), endpoint.port > 0 else {
            throw DisaggError(.badRequest, "url: expected an address as http://10.0.0.7:8100", parameter: "url")
        }
        return endpoint
    }

    /// `id`: what logs and metrics call the backend; nil where absent.
    func id() throws(DisaggError) -> String? {
        guard let member = members["id"], !member.isNull else { return nil }
        guard let id = member.string, BackendNaming.isValid(id) else {
            throw DisaggError(
                .badRequest, "id: expected 1 to 64 letters, digits, dots, colons, hyphens or underscores",
                parameter: "id")
        }
        return id
    }

    /// `weight`: a share of 0...1; nil where absent.
    func weight() throws(DisaggError) -> Double? {
        guard let member = members["weight"], !member.isNull else { return nil }
        guard let weight = member.double, (0...1).contains(weight) else {
            throw DisaggError(.badRequest, "weight: expected a number from 0 to 1", parameter: "weight")
        }
        return weight
    }

    /// `kv_events` and `kv_replay`: where the engine tells of its cache; nil where absent.
    func kvEvents() throws(DisaggError) -> KVEventAddress? {
        func address(_ name: String) throws(DisaggError) -> Endpoint? {
            guard let member = members[name], !member.isNull else { return nil }
            guard let endpoint = member.string.flatMap(ConfigText.endpoint), endpoint.port > 0 else {
                throw DisaggError(.badRequest, "\(name): expected an address as 10.0.0.7:5557", parameter: name)
            }
            return endpoint
        }
        guard let publishes = try address("kv_events") else { return nil }
        return KVEventAddress(publishes: publishes, replays: try address("kv_replay"))
    }

    /// `receiver`: where an LMCache decoder takes KV; nil where absent.
    func receiver(host: String) throws(DisaggError) -> PDReceiver? {
        guard let member = members["receiver"], !member.isNull else { return nil }
        func ports(_ name: String) throws(DisaggError) -> [Int] {
            let ports = member[name]?.elements.compactMap(\.int) ?? []
            guard !ports.isEmpty, ports.count <= 128, ports.allSatisfy({ (1...65535).contains($0) }),
                ports.count == member[name]?.elements.count
            else {
                throw DisaggError(
                    .badRequest, "receiver.\(name): expected a list of ports, one for each rank", parameter: "receiver")
            }
            return ports
        }
        return PDReceiver(
            host: member["host"]?.string ?? host, initPorts: try ports("init_ports"),
            allocPorts: try ports("alloc_ports"))
    }
}

/// Names of backends that were not named by the deployment.
enum BackendNaming {
    /// Whether a name can stand in logs, labels and paths.
    static func isValid(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-"),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// The name of a backend that is known by its address alone: `decode-10.0.0.7:8200`.
    static func name(_ role: BackendRole, _ endpoint: Endpoint) -> String {
        let host = endpoint.host.filter { $0 != "[" && $0 != "]" && $0 != "%" }
        return String("\(role.rawValue)-\(host):\(endpoint.port)".suffix(64))
    }
}
