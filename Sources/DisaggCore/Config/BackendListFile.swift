/// A file that lists engines, for a proxy that watches it:
///
/// ```yaml
/// prefill: [10.0.0.1:8100, 10.0.0.2:8100]
/// decode:
///   - 10.0.0.3:8200
///   - {url: 10.0.0.4:8200, init: [7300], alloc: [7400]}
/// ```
///
/// An engine that publishes KV events may say where: `{url: …, events: 10.0.0.1:5557, replay: 10.0.0.1:5558}`.
package struct BackendListFile: Sendable, Hashable {
    /// An engine of the list.
    package struct Entry: Sendable, Hashable {
        package var role: BackendRole
        package var endpoint: Endpoint
        /// An LMCache decoder's receiver ports; nil where the entry has none.
        package var receiverPorts: ReceiverPorts?
        /// Where it publishes KV events; nil where the entry does not say.
        package var kvEvents: KVEventAddress?
    }

    /// The engines in the file's order.
    package private(set) var entries: [Entry] = []

    /// Reads the text of a list.
    ///
    /// - Throws: ``DeploymentError`` with all problems found.
    package init(yaml: String, fileName: String) throws(DeploymentError) {
        let root: YAMLNode
        do throws(YAMLError) {
            root = try YAMLParser.parse(yaml)
        } catch {
            throw DeploymentError(
                fileName: fileName,
                problems: [
                    .init(line: error.mark.line, column: error.mark.column, path: "", message: error.message)
                ])
        }
        var reader = ConfigReader()
        var entries: [Entry] = []
        reader.members(of: root, at: "", known: BackendRole.allCases.map(\.rawValue)) { reader, key, node, path in
            guard let role = BackendRole(rawValue: key) else { return }
            for element in reader.elements(of: node, at: path) ?? [] {
                if let entry = Self.entry(role, element.node, element.path, &reader) { entries.append(entry) }
            }
        }
        guard reader.problems.isEmpty else { throw DeploymentError(fileName: fileName, problems: reader.problems) }
        self.entries = entries
    }

    private static func entry(
        _ role: BackendRole, _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader
    ) -> Entry? {
        if case .scalar = node.content {
            return reader.endpoint(node, at: path, ports: 1...65535).map { Entry(role: role, endpoint: $0) }
        }
        var endpoint: Endpoint?
        var ports = ReceiverPorts(initPorts: [], allocPorts: [])
        var events: Endpoint?
        var replay: Endpoint?
        reader.members(of: node, at: path, known: ["url", "init", "alloc", "events", "replay"]) {
            reader, key, node, path in
            switch key {
            case "url": endpoint = reader.endpoint(node, at: path, ports: 1...65535)
            case "events": events = reader.endpoint(node, at: path, ports: 1...65535)
            case "replay": replay = reader.endpoint(node, at: path, ports: 1...65535)
            default: break
            }
            guard key == "init" || key == "alloc" else { return }
            for element in reader.elements(of: node, at: path) ?? [] {
                guard let port = reader.port(element.node, at: element.path) else { continue }
                if key == "init" { ports.initPorts.append(port) } else { ports.allocPorts.append(port) }
            }
        }
        guard let endpoint else {
            reader.note("expected an engine's address under \"url\"", at: path, mark: node.mark)
            return nil
        }
        return Entry(
            role: role, endpoint: endpoint, receiverPorts: ports.initPorts.isEmpty ? nil : ports,
            kvEvents: events.map { KVEventAddress(publishes: $0, replays: replay) })
    }
}
