/// What an engine's `--kv-transfer-config` says.
package struct KVTransferView: Sendable, Hashable {
    /// `kv_connector`.
    package var connector: String?
    /// `kv_role`.
    package var role: String?
    /// All top-level keys.
    package var keys: Set<String> = []
    /// `kv_connector_extra_config`: scalars as text, other values as their JSON.
    package var extra: [String: String] = [:]
    /// Why the value could not be read; nil where it could.
    package var problem: String?

    /// Reads the option, also in its dotted form (`--kv-transfer-config.kv_role kv_producer`); nil where it is absent.
    package init?(_ arguments: EngineArguments) {
        let name = "kv-transfer-config"
        if let text = arguments.value(name) {
            do throws(JSONSyntaxError) {
                let view = try JSONView(parsing: text)
                guard view.kind == .object else {
                    problem = "expected a JSON object"
                    return
                }
                view.forEachMember { key, value in take(key, value) }
            } catch {
                problem = "not JSON: \(error.reason) at byte \(error.offset)"
            }
            return
        }
        var found = false
        for key in ["kv_connector", "kv_role", "kv_rank", "kv_parallel_size", "kv_buffer_size", "kv_ip"] {
            guard let text = arguments.value("\(name).\(String(key.map { $0 == "_" ? "-" : $0 }))")
            else { continue }
            found = true
            keys.insert(key)
            if key == "kv_connector" { connector = text }
            if key == "kv_role" { role = text }
        }
        guard found else { return nil }
    }

    private mutating func take(_ key: String, _ value: JSONView) {
        keys.insert(key)
        switch key {
        case "kv_connector": connector = value.string
        case "kv_role": role = value.string
        case "kv_connector_extra_config":
            var entries: [String: String] = [:]
            value.forEachMember { name, entry in entries[name] = entry.string ?? entry.rawString }
            extra = entries
        default: break
        }
    }
}
