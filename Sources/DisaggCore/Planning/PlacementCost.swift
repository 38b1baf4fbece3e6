/// What a placement is judged by; lower is better.
///
/// The terms are time-like, one over bandwidth, and weighted so that they decide in this order: first the slowest link
/// inside a tensor-parallel group, which every layer of every step waits for; then a group over two NUMA nodes; then the
/// way from each prefill engine to each decode engine; last, low indices, so that equal machines give equal plans.
package struct PlacementCost: Sendable {
    /// The hosts with their GPUs.
    package let hosts: [GPUHost]
    /// What one GPU of a host can send to one of another host, in 10⁹ bytes a second.
    package let networkGigabytesPerSecond: Double

    private static let groupWeight = 1e6
    private static let nodeWeight = 2e3
    private static let pairWeight = 1e3
    private static let indexWeight = 1e-6

    package init(hosts: [GPUHost], networkGigabytesPerSecond: Double = 25) {
        self.hosts = hosts
        self.networkGigabytesPerSecond = max(0.1, networkGigabytesPerSecond)
    }

    /// The cost of one engine's own GPUs.
    package func group(host: Int, positions: [Int]) -> Double {
        guard hosts.indices.contains(host) else { return .infinity }
        let machine = hosts[host]
        var cost = Self.indexWeight * Double(positions.reduce(0, +) + host * 64)
        if positions.count > 1 {
            var slowest = Double.infinity
            for first in positions.indices {
                for second in positions[(first + 1)...] {
                    slowest = min(slowest, machine.bandwidth(positions[first], second))
                }
            }
            cost += Self.groupWeight / max(slowest, 0.1)
        }
        let nodes = Set(positions.compactMap { machine.nodes.indices.contains($0) ? machine.nodes[$0] : nil })
        return cost + (nodes.count > 1 ? Self.nodeWeight * Double(nodes.count - 1) : 0)
    }

    /// The cost of the way between a prefill and a decode engine.
    package func pair(_ first: Placement.Seat, _ second: Placement.Seat) -> Double {
        guard first.engine.role != second.engine.role else { return 0 }
        guard first.host == second.host, hosts.indices.contains(first.host) else {
            return Self.pairWeight / networkGigabytesPerSecond * 8
        }
        // Rank i sends to rank i (or to the rank that holds its heads): the mean over the larger engine's ranks.
        let count = max(first.positions.count, second.positions.count)
        guard count > 0, !first.positions.isEmpty, !second.positions.isEmpty else { return 0 }
        let total = (0..<count).reduce(0.0) { sum, rank in
            let from = first.positions[rank * first.positions.count / count]
            let to = second.positions[rank * second.positions.count / count]
            return sum + 1 / max(hosts[first.host].bandwidth(from, to), 0.1)
        }
        return Self.pairWeight * total / Double(count)
    }

    /// The cost of a whole placement.
    package func total(_ seats: [Placement.Seat]) -> Double {
        var cost = 0.0
        for index in seats.indices {
            cost += group(host: seats[index].host, positions: seats[index].positions)
            for other in seats[(index + 1)...] { cost += pair(seats[index], other) }
        }
        return cost
    }
}
