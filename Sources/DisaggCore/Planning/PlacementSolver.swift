/// Puts engines on GPUs.
///
/// On one host with up to eight free GPUs the result is optimal under ``PlacementCost`` (branch and bound over all
/// assignments; a test compares it with brute force). Several hosts, or more GPUs, are first divided: engines are dealt
/// to hosts so that each host gets prefill and decode engines in the deployment's ratio, and each host is solved alone.
package struct PlacementSolver {
    private let cost: PlacementCost
    private let hosts: [GPUHost]

    /// Up to this many free GPUs of one host are solved exactly.
    package static let exactLimit = 8

    package init(hosts: [GPUHost], networkGigabytesPerSecond: Double = 25) {
        self.hosts = hosts
        cost = PlacementCost(hosts: hosts, networkGigabytesPerSecond: networkGigabytesPerSecond)
    }

    /// Places engines.
    ///
    /// - Throws: ``CommandError`` where they do not fit, with what is in the way.
    package func place(_ engines: [Placement.Engine]) throws(CommandError) -> Placement {
        let shares = try deal(engines)
        var seats: [Placement.Seat] = []
        for (host, share) in shares.enumerated() where !share.isEmpty {
            let free = hosts[host].available
            if free.count <= Self.exactLimit {
                seats += exact(share, host: host, free: free)
            } else {
                seats += greedy(share, host: host, free: free)
            }
        }
        let order = Dictionary(engines.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        seats.sort { order[$0.engine, default: 0] < order[$1.engine, default: 0] }
        return Placement(seats: seats, cost: cost.total(seats))
    }

    /// Divides engines among as few hosts as can hold them, evenly, so that each has both roles.
    private func deal(_ engines: [Placement.Engine]) throws(CommandError) -> [[Placement.Engine]] {
        let rooms = hosts.map(\.available.count)
        let needed = engines.reduce(0) { $0 + $1.size }
        let largestFirst = hosts.indices.sorted { rooms[$0] == rooms[$1] ? $0 < $1 : rooms[$0] > rooms[$1] }
        var used = 0
        var sum = 0
        while used < hosts.count, sum < needed {
            sum += rooms[largestFirst[used]]
            used += 1
        }
        // Engines of several ranks may not fill the fewest hosts to the last GPU; then one more is used.
        while used <= hosts.count {
            if let shares = deal(engines, to: Array(largestFirst.prefix(used)), rooms: rooms) { return shares }
            used += 1
        }
        throw shortage(of: engines)
    }

    private func deal(_ engines: [Placement.Engine], to used: [Int], rooms: [Int]) -> [[Placement.Engine]]? {
        var rest = rooms
        var shares = hosts.map { _ in [Placement.Engine]() }
        // The largest first, as they are hardest to fit; within a size the roles alternate.
        for size in Set(engines.map(\.size)).sorted(by: >) {
            for engine in Self.interleaved(engines.filter { $0.size == size }) {
                let fitting = used.filter { rest[$0] >= engine.size }
                // Where the engine's role is rarest, then where most is free.
                let host = fitting.min { first, second in
                    let one = shares[first].count { $0.role == engine.role }
                    let two = shares[second].count { $0.role == engine.role }
                    if one != two { return one < two }
                    return rest[first] == rest[second] ? first < second : rest[first] > rest[second]
                }
                guard let host else { return nil }
                shares[host].append(engine)
                rest[host] -= engine.size
            }
        }
        return shares
    }

    private static func interleaved(_ engines: [Placement.Engine]) -> [Placement.Engine] {
        let prefills = engines.filter { $0.role == .prefill }
        let decodes = engines.filter { $0.role != .prefill }
        var result: [Placement.Engine] = []
        var taken = 0
        for (index, decode) in decodes.enumerated() {
            let due = prefills.count * (index + 1) / max(1, decodes.count)
            result += prefills[taken..<max(taken, due)]
            taken = max(taken, due)
            result.append(decode)
        }
        return result + prefills[taken...]
    }

    private func shortage(of engines: [Placement.Engine]) -> CommandError {
        let needed = engines.reduce(0) { $0 + $1.size }
        let free = hosts.reduce(0) { $0 + $1.available.count }
        let reasons = hosts.flatMap { host in
            host.devices.compactMap { $0.unavailability.map { "\(host.name): \($0)" } }
        }
        let largest = hosts.map(\.available.count).max() ?? 0
        var text = "\(engines.count) engines need \(needed) GPUs, \(free) are free"
        if needed <= free {
            let size = engines.map(\.size).max() ?? 0
            text +=
                ", but no engine can be spread over hosts: one needs \(size) GPUs, the largest host has \(largest) free"
        }
        if !reasons.isEmpty { text += " (\(reasons.prefix(8).joined(separator: "; ")))" }
        return CommandError(text + "; ask for fewer or smaller engines, or free those GPUs")
    }

    // MARK: One host

    private struct Search {
        let engines: [Placement.Engine]
        let host: Int
        let cost: PlacementCost
        var best: [Placement.Seat] = []
        var bestCost = Double.infinity

        /// Gives `engines[next...]` GPUs of `free`, all ways that can still be better than the best.
        mutating func run(next: Int, free: [Int], seats: [Placement.Seat], sum: Double) {
            guard sum < bestCost else { return }
            guard next < engines.count else {
                best = seats
                bestCost = sum
                return
            }
            let engine = engines[next]
            // Engines of one role and size are alike: their first GPUs rise, which leaves one of many equal orders.
            var floor = -1
            if next > 0, engines[next - 1].role == engine.role, engines[next - 1].size == engine.size {
                floor = seats.last?.positions.first ?? -1
            }
            for positions in Self.combinations(of: engine.size, from: free[...]) {
                guard let first = positions.first, first > floor else { continue }
                let seat = Placement.Seat(engine: engine, host: host, positions: positions)
                var added = cost.group(host: host, positions: positions)
                for other in seats { added += cost.pair(other, seat) }
                run(
                    next: next + 1, free: free.filter { !positions.contains($0) }, seats: seats + [seat],
                    sum: sum + added)
            }
        }

        private static func combinations(of count: Int, from free: ArraySlice<Int>) -> [[Int]] {
            guard count > 0 else { return [[]] }
            guard let first = free.first, free.count >= count else { return [] }
            return combinations(of: count - 1, from: free.dropFirst()).map { [first] + $0 }
                + combinations(of: count, from: free.dropFirst())
        }
    }

    private func exact(_ engines: [Placement.Engine], host: Int, free: [Int]) -> [Placement.Seat] {
        let sorted = engines.sorted {
            ($0.size, $0.role == .prefill ? 0 : 1, $1.replica) > ($1.size, $1.role == .prefill ? 0 : 1, $0.replica)
        }
        var search = Search(engines: sorted, host: host, cost: cost)
        search.run(next: 0, free: free, seats: [], sum: 0)
        return search.best
    }

    /// Largest engine first, each on the free GPUs that cost least; then swaps between engines while they help.
    private func greedy(_ engines: [Placement.Engine], host: Int, free: [Int]) -> [Placement.Seat] {
        var rest = free
        var seats: [Placement.Seat] = []
        for engine in engines.sorted(by: { $0.size > $1.size }) {
            var best: (positions: [Int], cost: Double)?
            for seed in rest {
                // The GPUs nearest to the seed.
                let near = rest.filter { $0 != seed }.sorted {
                    let (a, b) = (hosts[host].bandwidth(seed, $0), hosts[host].bandwidth(seed, $1))
                    return a == b ? abs($0 - seed) < abs($1 - seed) : a > b
                }
                let positions = ([seed] + near.prefix(engine.size - 1)).sorted()
                let seat = Placement.Seat(engine: engine, host: host, positions: positions)
                let cost = seats.reduce(cost.group(host: host, positions: positions)) { $0 + self.cost.pair($1, seat) }
                if cost < best?.cost ?? .infinity { best = (positions, cost) }
            }
            guard let best else { continue }
            rest.removeAll(where: best.positions.contains)
            seats.append(.init(engine: engine, host: host, positions: best.positions))
        }
        improve(&seats)
        return seats
    }

    private func improve(_ seats: inout [Placement.Seat]) {
        var current = cost.total(seats)
        for _ in 0..<8 {
            var isBetter = false
            for first in seats.indices {
                for second in seats.indices where second > first {
                    for i in seats[first].positions.indices {
                        for j in seats[second].positions.indices {
                            var changed = seats
                            changed[first].positions[i] = seats[second].positions[j]
                            changed[second].positions[j] = seats[first].positions[i]
                            changed[first].positions.sort()
                            changed[second].positions.sort()
                            let cost = cost.total(changed)
                            if cost < current - 1e-9 {
                                (seats, current, isBetter) = (changed, cost, true)
                            }
                        }
                    }
                }
            }
            guard isBetter else { return }
        }
    }
}
