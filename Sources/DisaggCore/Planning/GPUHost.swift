/// One machine with GPUs: what they are, how they are joined, and to which CPUs they belong.
public struct GPUHost: Sendable, Hashable {
    /// Its name or address.
    public var name: String
    /// The GPUs, by index.
    public var devices: [GPUDevice]
    /// The link between each two of ``devices``, by position; nil on the diagonal and where unknown.
    public var links: [[GPULink?]]
    /// NUMA node of each device; nil where unknown.
    public var nodes: [Int?]
    /// CPUs near each device, as `taskset` takes them (`0-31,64-95`); nil where unknown.
    public var processors: [String?]

    /// Creates a host whose GPUs are joined as their model's boards are: the plan of a machine that is not there.
    ///
    /// - Parameters:
    ///   - count: GPUs.
    ///   - model: what they are.
    public init(name: String, count: Int, of model: GPUModel) {
        self.name = name
        let total = max(0, count)
        devices = (0..<total).map { GPUDevice(index: $0, name: model.name, memoryMiB: model.memoryMiB) }
        // Boards with eight GPUs have four at each socket.
        let half = (total + 1) / 2
        let nodes = (0..<total).map { total > 4 ? $0 / half : 0 }
        self.nodes = nodes
        processors = Array(repeating: nil, count: total)
        let bridge = GPULink.nvlink(max(1, Int(model.linkGigabytesPerSecond / 25)))
        links = (0..<total).map { row in
            (0..<total).map { column -> GPULink? in
                guard row != column else { return nil }
                switch model.fabric {
                case .switched: return bridge
                case .bridgedPairs where row / 2 == column / 2: return bridge
                default: return nodes[row] == nodes[column] ? .sameNode : .betweenSockets
                }
            }
        }
    }

    /// Joins what `nvidia-smi` printed: a query, and the matrix where it is there.
    ///
    /// - Throws: ``CommandError`` where the two disagree on the number of GPUs.
    package init(name: String, devices: [GPUDevice], topology: TopologyMatrix?) throws(CommandError) {
        self.name = name
        self.devices = devices.sorted { $0.index < $1.index }
        let count = devices.count
        guard let topology else {
            links = Array(repeating: Array(repeating: nil, count: count), count: count)
            nodes = Array(repeating: nil, count: count)
            processors = Array(repeating: nil, count: count)
            return
        }
        let positions = self.devices.map { topology.indices.firstIndex(of: $0.index) }
        guard positions.allSatisfy({ $0 != nil }) else {
            throw CommandError(
                "host \(name): nvidia-smi lists GPUs \(self.devices.map(\.index)), its topology \(topology.indices); "
                    + "take both outputs on the same machine, in the same container")
        }
        let rows = positions.compactMap { $0 }
        links = rows.map { row in rows.map { topology.links[row][$0] } }
        nodes = rows.map { topology.nodes[$0] }
        processors = rows.map { topology.processors[$0] }
    }

    /// Positions of the GPUs that can take an engine.
    public var available: [Int] { devices.indices.filter { devices[$0].unavailability == nil } }

    /// What one GPU can send another in one direction, in 10⁹ bytes a second.
    public func bandwidth(_ first: Int, _ second: Int) -> Double {
        let model = devices.indices.contains(first) ? devices[first].model : nil
        let pcie = model?.pcieGigabytesPerSecond ?? 32
        guard links.indices.contains(first), links[first].indices.contains(second), let link = links[first][second]
        else { return GPULink.betweenSockets.gigabytesPerSecond(pcie: pcie) }
        let rate = link.gigabytesPerSecond(pcie: pcie)
        // Without peer access every copy goes through the host's memory, so twice over PCIe.
        return model?.fabric == .hostOnly ? min(rate, pcie / 2) : rate
    }

    /// The groups within which all GPUs reach each other by NVLink, or singletons; largest first.
    public var islands: [[Int]] {
        var rest = Array(devices.indices)
        var result: [[Int]] = []
        while let first = rest.first {
            var island = [first]
            for candidate in rest.dropFirst()
            where island.allSatisfy({ links[$0][candidate]?.isNVLink == true }) { island.append(candidate) }
            rest.removeAll(where: island.contains)
            result.append(island)
        }
        return result.sorted { $0.count > $1.count }
    }

    /// The NUMA node of all devices at these positions; nil where they are at several, or it is not known.
    func node(of positions: [Int]) -> Int? {
        let found = Set(positions.map { nodes.indices.contains($0) ? nodes[$0] : nil })
        return found.count == 1 ? found.first ?? nil : nil
    }

    /// Keeps the GPUs that `selectors` name, by index or by the beginning of a UUID.
    ///
    /// - Throws: ``CommandError`` for a selector that fits none, or more than one.
    package func selecting(_ selectors: [String]) throws(CommandError) -> GPUHost {
        var kept: [Int] = []
        for selector in selectors {
            let matches = devices.indices.filter { position in
                let device = devices[position]
                if let index = Int(selector) { return device.index == index }
                return !selector.isEmpty && device.uuid?.lowercased().hasPrefix(selector.lowercased()) == true
            }
            guard matches.count == 1, let match = matches.first else {
                let problem = matches.isEmpty ? "fits no GPU" : "fits \(matches.count) GPUs"
                throw CommandError(
                    "\"\(selector)\" \(problem) of host \(name); give an index (\(devices.map(\.index))) or a UUID")
            }
            if !kept.contains(match) { kept.append(match) }
        }
        var result = self
        result.devices = kept.map { devices[$0] }
        result.links = kept.map { row in kept.map { links[row][$0] } }
        result.nodes = kept.map { nodes[$0] }
        result.processors = kept.map { processors[$0] }
        return result
    }
}
