import Testing

@testable import DisaggCore

@Suite struct PlacementTests {
    private func engines(_ role: BackendRole, _ count: Int, _ size: Int) -> [Placement.Engine] {
        (0..<count).map { .init(role: role, replica: $0, size: size) }
    }

    @Test func groupsStayInsideNVLinkIslands() throws {
        let host = try PlanningFixture.host("topo-v100-8-mesh.txt")
        let placement = try PlacementSolver(hosts: [host]).place(engines(.prefill, 1, 4) + engines(.decode, 1, 4))
        #expect(Set(placement.seats.map { $0.positions }) == [[0, 1, 2, 3], [4, 5, 6, 7]])
    }

    @Test func aPairGetsTheBestLink() throws {
        let host = try PlanningFixture.host("topo-titanv-8-pcie.txt", memoryMiB: 81_559)
        let placement = try PlacementSolver(hosts: [host]).place(engines(.prefill, 1, 1) + engines(.decode, 1, 1))
        #expect(
            placement.seats.map { $0.positions } == [[0], [1]] || placement.seats.map { $0.positions } == [[1], [0]])
    }

    @Test func switchedBoardsAreDividedBySocket() throws {
        let host = try PlanningFixture.host("topo-h200-8-nics.txt")
        let placement = try PlacementSolver(hosts: [host]).place(engines(.prefill, 2, 2) + engines(.decode, 1, 4))
        let decode = try #require(placement.seats.first { $0.engine.role == .decode })
        #expect(Set(decode.positions.map { host.nodes[$0] }).count == 1)
        #expect(Placement.binding(decode, on: [host])?.hasPrefix("--cpunodebind=") == true)
    }

    @Test func visibleDevicesAreDisjointAndMayBeUUIDs() throws {
        let host = try PlanningFixture.host("topo-h200-8-nics.txt")
        let placement = try PlacementSolver(hosts: [host]).place(engines(.prefill, 4, 1) + engines(.decode, 2, 2))
        let lists = placement.seats.map { Placement.visibleDevices($0, on: [host]).split(separator: ",") }
        #expect(lists.flatMap { $0 }.count == 8)
        #expect(Set(lists.flatMap { $0 }).count == 8)
        #expect(Placement.visibleDevices(placement.seats[0], on: [host], uuids: true).hasPrefix("GPU-"))
    }

    @Test func busyGPUsAreLeftOutAndNamed() throws {
        var host = try PlanningFixture.host("topo-h200-8-nics.txt")
        for index in 0..<7 { host.devices[index].usedMiB = 50_000 }
        #expect {
            try PlacementSolver(hosts: [host]).place(self.engines(.prefill, 1, 1) + self.engines(.decode, 1, 1))
        } throws: { "\($0)".contains("1 are free") && "\($0)".contains("GPU 0 has 50000 of 81559 MiB") }
    }

    @Test func anEngineIsNeverSpreadOverHosts() throws {
        let model = try GPUCatalog.named("H100")
        let hosts = [GPUHost(name: "a", count: 3, of: model), GPUHost(name: "b", count: 3, of: model)]
        #expect { try PlacementSolver(hosts: hosts).place(self.engines(.decode, 1, 4)) } throws: {
            "\($0)".contains("largest host has 3")
        }
    }

    @Test func eachHostGetsBothRoles() throws {
        let model = try GPUCatalog.named("H100")
        let hosts = (0..<4).map { GPUHost(name: "h\($0)", count: 8, of: model) }
        let placement = try PlacementSolver(hosts: hosts).place(engines(.prefill, 16, 1) + engines(.decode, 8, 2))
        for host in 0..<4 {
            let roles = Set(placement.seats.filter { $0.host == host }.map(\.engine.role))
            #expect(roles == [.prefill, .decode])
        }
        #expect(placement.seats.flatMap { seat in seat.positions.map { seat.host * 8 + $0 } }.count == 32)
    }
}

/// On hosts of up to eight GPUs with random links, the solver is as good as trying everything, for every size.
@Suite struct PlacementFuzzTests {
    @Test(arguments: 2...8) func nothingIsBetter(count: Int) throws {
        let rounds = ExecutableSearch.variable("DISAGG_FUZZ") == "long" ? 100 : 8
        for seed in 0..<UInt64(rounds) {
            var random = SeededRandom(seed: seed, stream: UInt64(count))
            var host = GPUHost(name: "h", count: count, of: try GPUCatalog.named("H100"))
            let links: [GPULink] = [.nvlink(4), .nvlink(2), .samePCIeBridge, .hostBridge, .sameNode, .betweenSockets]
            for row in 0..<count {
                for column in 0..<row {
                    let link = links.randomElement(using: &random)
                    host.links[row][column] = link
                    host.links[column][row] = link
                }
                host.nodes[row] = Int.random(in: 0...1, using: &random)
            }
            // The first round has as many engines as there are GPUs; some leave a GPU free.
            var engines: [Placement.Engine] = []
            var rest = count
            var numbers = [0, 0]
            while rest > (seed % 3 == 2 ? 1 : 0) {
                let size = seed == 0 ? 1 : min(rest, [1, 1, 2, 3, 4].randomElement(using: &random) ?? 1)
                let isPrefill = Bool.random(using: &random)
                engines.append(
                    .init(role: isPrefill ? .prefill : .decode, replica: numbers[isPrefill ? 0 : 1], size: size))
                numbers[isPrefill ? 0 : 1] += 1
                rest -= size
            }
            let found = try PlacementSolver(hosts: [host]).place(engines)
            let best = Self.bruteForce(engines, host)
            #expect(abs(found.cost - best) < 1e-6, "seed \(seed): \(found.cost) instead of \(best)")
        }
    }

    /// Every way to give the engines GPUs, none left out.
    private static func bruteForce(_ engines: [Placement.Engine], _ host: GPUHost) -> Double {
        let cost = PlacementCost(hosts: [host])
        var best = Double.infinity
        func assign(_ next: Int, _ free: [Int], _ seats: [Placement.Seat], _ sum: Double) {
            guard next < engines.count else {
                best = min(best, sum)
                return
            }
            for positions in subsets(of: free[...], count: engines[next].size) {
                let seat = Placement.Seat(engine: engines[next], host: 0, positions: positions)
                let added = seats.reduce(cost.group(host: 0, positions: positions)) { $0 + cost.pair($1, seat) }
                assign(next + 1, free.filter { !positions.contains($0) }, seats + [seat], sum + added)
            }
        }
        assign(0, Array(host.devices.indices), [], 0)
        return best
    }

    private static func subsets(of free: ArraySlice<Int>, count: Int) -> [[Int]] {
        guard count > 0 else { return [[]] }
        guard let first = free.first, free.count >= count else { return [] }
        return subsets(of: free.dropFirst(), count: count - 1).map { [first] + $0 }
            + subsets(of: free.dropFirst(), count: count)
    }
}
