import Glibc
import Testing

@testable import DisaggCore

/// Every policy under the same recorded workloads. `Tests/policies.sh` runs all of it at full length and writes the table
/// of Docs/Policies.md; an ordinary run takes short workloads and checks what must hold.
@Suite("Policy experiments", .timeLimit(.minutes(10)))
struct PolicyExperimentTests {
    struct Contender: Sendable {
        let name: String
        let configure: @Sendable (inout RoutingSettings) -> Void

        init(_ name: String, _ prefill: PolicyKind, _ decode: PolicyKind) {
            self.name = name
            configure = {
                $0.prefill.policy = prefill
                $0.decode.policy = decode
            }
        }
    }

    /// All policies; the ones that know prompts choose prefill, as only prefill engines compute them.
    static let contenders = [
        Contender("random", .random, .random), Contender("round-robin", .roundRobin, .roundRobin),
        Contender("least-loaded", .leastLoaded, .leastLoaded), Contender("power-of-two", .powerOfTwo, .powerOfTwo),
        Contender("least-tokens", .leastTokens, .leastTokens), Contender("session", .session, .session),
        Contender("prefix-cache", .prefixCache, .leastLoaded), Contender("kv-events", .kvEvents, .leastLoaded),
        Contender("pair-cost", .pairCost, .pairCost),
    ]

    static func scenarios(_ count: Int) -> [(SimulatedWorkload, PolicySimulation.Cluster)] {
        let even = PolicySimulation.Cluster(prefillSpeeds: [1, 1, 1, 1], decodeSpeeds: [1, 1])
        let uneven = PolicySimulation.Cluster(
            prefillSpeeds: [1.5, 1, 1, 0.5], decodeSpeeds: [1.5, 1, 1, 0.5], prefillGroups: [0, 0, 1, 1],
            decodeGroups: [0, 0, 1, 1])
        return [
            (.uniform(count: count, rate: 40), even), (.sessions(count: count, rate: 40), even),
            (.bursty(count: count, rate: 40), even),
            (SimulatedWorkload.uniform(count: count, rate: 40, seed: 4).renamed("heterogeneous"), uneven),
        ]
    }

    private static var isFull: Bool { getenv("DISAGG_POLICIES") != nil }

    @Test("the pair cost is nowhere more than a twentieth behind the best other policy")
    func table() throws {
        var lines = [
            "| workload | policy | TTFT p50 ms | TTFT p99 ms | TPOT p50 ms | TPOT p99 ms | cache hits | imbalance |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (workload, cluster) in Self.scenarios(Self.isFull ? 6000 : 600) {
            var results: [(name: String, result: PolicySimulation.Result)] = []
            for contender in Self.contenders {
                let result = PolicySimulation(workload, cluster, contender.configure).run()
                #expect(result.timesPerToken.count == workload.requests.count)
                results.append((contender.name, result))
                lines.append(Self.line(workload.name, contender.name, result))
            }
            guard let pair = results.last?.result else { continue }
            let others = results.dropLast().map(\.result)
            func compare(_ what: String, _ value: (PolicySimulation.Result) -> Double) {
                let best = others.map(value).min() ?? 0
                #expect(
                    value(pair) <= best * (Self.isFull ? 1.05 : 1.5),
                    "\(workload.name): \(what) \(value(pair)), the best other one \(best)")
            }
            compare("TTFT p50") { $0.firstToken(0.5) }
            // The last hundredth of a short run is six requests: chance.
            if Self.isFull { compare("TTFT p99") { $0.firstToken(0.99) } }
            compare("TPOT p50") { $0.perToken(0.5) }
        }
        if let path = getenv("DISAGG_POLICIES").map({ String(cString: $0) }), path != "-" {
            try write(lines.joined(separator: "\n") + "\n", to: path)
        } else if Self.isFull {
            print(lines.joined(separator: "\n"))
        }
    }

    private static func line(_ workload: String, _ policy: String, _ result: PolicySimulation.Result) -> String {
        func number(_ value: Double, _ digits: Int) -> String {
            let scale = power(10, Double(digits))
            let rounded = (value * scale).rounded() / scale
            return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
        }
        let cells = [
            workload, policy, number(result.firstToken(0.5), 0), number(result.firstToken(0.99), 0),
            number(result.perToken(0.5), 2), number(result.perToken(0.99), 2),
            number(result.hitRate * 100, 0) + " %", number(result.imbalance, 2),
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    private func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        #expect(fputs(text, file) >= 0)
    }
}
