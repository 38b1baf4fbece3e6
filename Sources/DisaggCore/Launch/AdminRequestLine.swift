/// A request to a proxy's admin API: method, target and body.
package struct AdminRequestLine: Sendable, Hashable {
    package var method: String
    package var target: String
    package var body: String?
    /// How long the answer may take beyond the usual, for it waits for a drain.
    package var patience = Duration.zero

    private init(_ method: String, _ target: String, body: String? = nil) {
        self.method = method
        self.target = target
        self.body = body
    }

    package static let list = AdminRequestLine("GET", "/admin/v1/backends")
    package static let reload = AdminRequestLine("POST", "/admin/v1/reload")

    /// Adds a backend; ports are lists with commas, as LMCache's flags have them.
    package static func add(
        role: String, url: String, id: String? = nil, weight: Double? = nil, initPorts: String? = nil,
        allocPorts: String? = nil, kvEvents: String? = nil, kvReplay: String? = nil
    ) throws(CommandError) -> AdminRequestLine {
        let receiver = try receiver(initPorts, allocPorts)
        let body = JSONBuilder.object { json in
            json.member("role", role)
            json.member("url", url)
            if let id { json.member("id", id) }
            if let weight { json.member("weight", weight) }
            receiver(&json)
            if let kvEvents { json.member("kv_events", kvEvents) }
            if let kvReplay { json.member("kv_replay", kvReplay) }
        }
        return AdminRequestLine("POST", "/admin/v1/backends", body: String(decoding: body, as: UTF8.self))
    }

    /// What writes an LMCache decoder's receiver; nothing where no ports are given.
    private static func receiver(
        _ initPorts: String?, _ allocPorts: String?
    ) throws(CommandError) -> (inout JSONBuilder) -> Void {
        let initPorts = try ports(initPorts, "--init-ports")
        let allocPorts = try ports(allocPorts, "--alloc-ports")
        return { json in
            guard !initPorts.isEmpty || !allocPorts.isEmpty else { return }
            json.object("receiver") {
                $0.array("init_ports") { list in for port in initPorts { list.element(port) } }
                $0.array("alloc_ports") { list in for port in allocPorts { list.element(port) } }
            }
        }
    }

    package static func remove(_ id: String, wait: String?, isForced: Bool) throws(CommandError) -> AdminRequestLine {
        try AdminRequestLine("DELETE", path(id)).with(wait: wait, isForced: isForced)
    }

    package static func drain(_ id: String, wait: String?, isForced: Bool) throws(CommandError) -> AdminRequestLine {
        try AdminRequestLine("POST", path(id) + "/drain").with(wait: wait, isForced: isForced)
    }

    package static func resume(_ id: String) -> AdminRequestLine { AdminRequestLine("POST", path(id) + "/resume") }

    package static func weight(_ id: String, _ weight: Double) -> AdminRequestLine {
        AdminRequestLine("PUT", path(id) + "/weight", body: "{\"weight\":\(weight)}")
    }

    package static func role(
        _ id: String, _ role: String, wait: String?, isForced: Bool
    ) throws(CommandError) -> AdminRequestLine {
        let body = JSONBuilder.object { $0.member("role", role) }
        return try AdminRequestLine("PUT", path(id) + "/role", body: String(decoding: body, as: UTF8.self))
            .with(wait: wait, isForced: isForced)
    }

    private func with(wait: String?, isForced: Bool) throws(CommandError) -> AdminRequestLine {
        var line = self
        var parameters: [String] = []
        if let wait {
            guard let duration = ConfigText.duration(wait) else {
                throw CommandError("--wait: expected a duration as 30s, got \"\(wait)\"")
            }
            line.patience = duration
            parameters.append("wait=\(wait)")
        }
        if isForced { parameters.append("force=true") }
        if !parameters.isEmpty { line.target += "?" + parameters.joined(separator: "&") }
        return line
    }

    private static func ports(_ text: String?, _ flag: String) throws(CommandError) -> [Int] {
        guard let text else { return [] }
        let ports = text.split(separator: ",").map { Int($0.filter { $0 != " " }) }
        let known = ports.compactMap { $0 }
        guard known.count == ports.count, known.allSatisfy({ (1...65535).contains($0) }) else {
            throw CommandError("\(flag): expected ports separated by commas, got \"\(text)\"")
        }
        return known
    }

    /// The path of a backend; what a path cannot hold is escaped.
    private static func path(_ id: String) -> String {
        let escaped = id.utf8.map { byte -> String in
            let scalar = Character(Unicode.Scalar(byte))
            if scalar.isASCII, scalar.isLetter || scalar.isNumber || "-._:".contains(scalar) { return String(scalar) }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        return "/admin/v1/backends/" + escaped.joined()
    }
}
