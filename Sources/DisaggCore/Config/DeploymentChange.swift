/// What differs between two deployments of a proxy that runs, where it can follow.
package struct DeploymentChange: Sendable, Equatable {
    /// Fields other than the engines' addresses that are taken over, `proxy.prefillTimeout`.
    package private(set) var changed: [String] = []

    private static let durations: [(String, any WritableKeyPath<Deployment, Duration> & Sendable)] = [
        ("proxy.prefillTimeout", \.proxy.prefillTimeout),
        ("proxy.notificationTimeout", \.proxy.notificationTimeout),
        ("proxy.decodeIdleTimeout", \.proxy.decodeIdleTimeout),
        ("proxy.drainTimeout", \.proxy.drainTimeout),
    ]

    /// Compares two deployments.
    ///
    /// - Throws: ``DisaggError`` that names the fields which only a restart can change.
    package init(from old: Deployment, to new: Deployment) throws(DisaggError) {
        // What is made equal here can change while the proxy runs, or is no business of it.
        var rest = new
        for (name, path) in Self.durations where old[keyPath: path] != new[keyPath: path] {
            changed.append(name)
            rest[keyPath: path] = old[keyPath: path]
        }
        for group in [\Deployment.prefill, \Deployment.decode] {
            var merged = old[keyPath: group]
            merged.tensorParallel = new[keyPath: group].tensorParallel
            merged.pipelineParallel = new[keyPath: group].pipelineParallel
            rest[keyPath: group] = merged
        }
        for role in BackendRole.allCases {
            // They belong to the engines, one for each.
            rest.routing[role].kvEvents = old.routing[role].kvEvents
            rest.routing[role].kvReplay = old.routing[role].kvReplay
        }
        rest.engine = old.engine
        rest.simulator = old.simulator
        guard rest != old else { return }
        let fields = Self.differences(DeploymentWriter.yaml(old), DeploymentWriter.yaml(rest))
        throw DisaggError(
            .conflict,
            "\(fields.isEmpty ? "a setting" : fields.joined(separator: ", ")) cannot be changed while the proxy runs; "
                + "restart it to take the file over")
    }

    /// The fields whose lines differ.
    private static func differences(_ old: String, _ new: String) -> [String] {
        let before = Set(paths(old))
        let after = Set(paths(new))
        var names: [String] = []
        for line in paths(old).filter({ !after.contains($0) }) + paths(new).filter({ !before.contains($0) })
        where !names.contains(line.path) {
            names.append(line.path)
        }
        return names
    }

    private struct Line: Hashable {
        var path: String
        var value: Substring
    }

    /// A written deployment's lines with their section in front; deeper lines belong to the field above them.
    private static func paths(_ yaml: String) -> [Line] {
        var section = ""
        var field = ""
        return yaml.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let indentation = line.prefix { $0 == " " }.count
            let name = String(line.drop { $0 == " " }.prefix { $0 != ":" })
            if indentation == 0 {
                section = name
                field = name
            } else if indentation == 2 {
                field = "\(section).\(name)"
            }
            return Line(path: field, value: line)
        }
    }
}
