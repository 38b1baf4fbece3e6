/// Gives every engine GPUs of its own: what its `CUDA_VISIBLE_DEVICES` will be.
///
/// A group's own `gpus` are taken as they are. The others are placed by the planner, ranks of an engine and prefill beside
/// decode where their links are best; where the links are not known, or too few GPUs are free, in order, prefill engines
/// first.
package enum GPUAssignment {
    /// Reads `0,2,4-7`.
    ///
    /// - Throws: ``CommandError`` that names the option.
    package static func list(_ text: String, option: String) throws(CommandError) -> [Int] {
        var list: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let range = NumberRange.read(part, below: 1024) else {
                throw CommandError("\(option): \"\(part)\" names no GPU; expected for example 0,2 or 4-7")
            }
            list += range
        }
        guard Set(list).count == list.count else { throw CommandError("\(option): a GPU is named twice in \(text)") }
        return list
    }

    /// Fills `gpus` of both groups.
    ///
    /// - Parameters:
    ///   - allowed: the GPUs that may be used, in the order they are handed out.
    ///   - present: how many the machine has; nil where that is not known.
    ///   - host: their links and processes; nil where they are not known.
    /// - Throws: ``CommandError`` where there are too few, or one is claimed twice.
    package static func assign(
        _ deployment: Deployment, allowed: [Int], present: Int?, host: GPUHost? = nil
    ) throws(CommandError) -> Deployment {
        var deployment = deployment
        var owner: [Int: String] = [:]
        let roles: [BackendRole] = [.prefill, .decode].filter {
            deployment.group($0).urls.isEmpty && deployment.uses($0)
        }
        for role in roles {
            let group = deployment.group(role)
            let needed = group.replicas * group.devicesPerEngine
            guard group.gpus.count >= needed else { continue }
            for (position, gpu) in group.gpus.prefix(needed).enumerated() {
                let name = role.backendID(replica: position / max(1, group.devicesPerEngine))
                guard allowed.contains(gpu) else {
                    throw CommandError(
                        present.map { gpu >= $0 } == true
                            ? "\(name) needs GPU \(gpu), but nvidia-smi finds \(present ?? 0): set \(role.rawValue).gpus or "
                                + "fewer replicas in the deployment file, or use --engine simulated"
                            : "\(role.rawValue).gpus gives GPU \(gpu) to \(name), which is not among the allowed ones "
                                + "(\(allowed.map(String.init).joined(separator: ",")))")
                }
                if let other = owner[gpu], other != name {
                    throw CommandError(
                        "GPU \(gpu) is given to \(other) and to \(name): give each engine GPUs of its own, "
                            + "with prefill.gpus and decode.gpus")
                }
                owner[gpu] = name
            }
        }
        var free = allowed.filter { owner[$0] == nil }[...]
        let open = roles.filter { deployment.group($0).gpus.count < engineGPUs(deployment.group($0)) }
        if let host, let placed = place(open, deployment, on: Array(free), host) {
            if let own = placed[.prefill] { deployment.prefill.gpus = own }
            if let own = placed[.decode] { deployment.decode.gpus = own }
            return deployment
        }
        for role in roles {
            let group = deployment.group(role)
            let needed = group.replicas * group.devicesPerEngine
            guard group.gpus.count < needed else { continue }
            guard free.count >= needed else {
                throw CommandError(
                    "the \(role.rawValue) engines need \(needed) GPUs (\(group.replicas) of \(group.devicesPerEngine)), but only "
                        + "\(free.count) of \(allowed.count) are left: set fewer replicas, name more with --gpus, or use "
                        + "--engine simulated")
            }
            let given = Array(free.prefix(needed))
            free = free.dropFirst(needed)
            if role == .prefill { deployment.prefill.gpus = given } else { deployment.decode.gpus = given }
        }
        return deployment
    }

    private static func engineGPUs(_ group: EngineGroup) -> Int { group.replicas * group.devicesPerEngine }

    /// The planner's placement of the roles' engines on free GPUs of a host; nil where it has none.
    private static func place(
        _ roles: [BackendRole], _ deployment: Deployment, on free: [Int], _ host: GPUHost
    ) -> [BackendRole: [Int]]? {
        let engines = roles.flatMap { role in
            (0..<deployment.group(role).replicas).map {
                Placement.Engine(role: role, replica: $0, size: deployment.group(role).devicesPerEngine)
            }
        }
        guard let machine = try? host.selecting(free.map(String.init)),
            let placement = try? PlacementSolver(hosts: [machine]).place(engines)
        else { return nil }
        var result: [BackendRole: [Int]] = [:]
        for seat in placement.seats {
            result[seat.engine.role, default: []] += seat.positions.map { machine.devices[$0].index }
        }
        return result
    }
}
