import Testing

@testable import DisaggCore

@Suite("Load-balancing policies")
struct PolicyTests {
    static var all: [any LoadBalancingPolicy] {
        let pair = PairCostPolicy()
        return [
            RoundRobinPolicy(), RandomPolicy(), LeastLoadedPolicy(), PowerOfTwoPolicy(), LeastTokensPolicy(),
            SessionPolicy(), PrefixCachePolicy(), PairHalfPolicy(pair, isPrefill: true),
            PairHalfPolicy(pair, isPrefill: false),
        ]
    }

    private func facts() -> RequestFacts {
        var facts = RequestFacts()
        facts.promptTokens = 1000
        facts.sessionKey = 7
        facts.prefixKeys = [1, 2, 3]
        return facts
    }

    @Test("every policy chooses only eligible backends, and none where none is")
    func eligibility() {
        for policy in Self.all {
            let role = TestRole(5)
            role.meters[1].block(.down)
            role.meters[3].block(.draining)
            let counts = role.counts(policy, picks: 200, facts: facts())
            #expect(counts[1] == 0 && counts[3] == 0 && counts.reduce(0, +) == 200, "\(policy.name): \(counts)")
            for meter in role.meters { meter.block(.down) }
            #expect(role.counts(policy, picks: 3, facts: facts()) == [0, 0, 0, 0, 0], "\(policy.name)")
            #expect(TestRole(0).counts(policy, picks: 1, facts: facts()).isEmpty, "\(policy.name)")
        }
    }

    @Test("every policy passes over backends that failed the request, are full or lack room for its KV")
    func constraints() {
        for policy in Self.all {
            let role = TestRole(4, chunks: 10)
            role.meters[0].limit = 1
            role.meters[0].enter()
            _ = role.meters[1].budget.take(8)
            var generator = SeededGenerator(seed: 3)
            for _ in 0..<50 {
                let index = policy.pick(
                    from: role.candidates(excluding: [2], chunks: 3), for: facts(), using: &generator)
                #expect(index == 3, "\(policy.name)")
            }
        }
    }

    @Test("round robin is exact, also over gaps")
    func roundRobin() {
        let role = TestRole(4)
        #expect(role.counts(RoundRobinPolicy(), picks: 400) == [100, 100, 100, 100])
        role.meters[2].block(.down)
        #expect(role.counts(RoundRobinPolicy(), picks: 3)[2] == 0)
    }

    @Test("a weight is a share, for every policy that spreads requests", arguments: [0.5, 0.1])
    func weights(weight: Double) {
        let policies: [any LoadBalancingPolicy] = [
            RoundRobinPolicy(), RandomPolicy(), LeastLoadedPolicy(), PowerOfTwoPolicy(), LeastTokensPolicy(),
        ]
        for policy in policies {
            let role = TestRole(3)
            role.meters[0].baseWeight = weight
            // Requests stay open, so that load is what counts.
            var generator = SeededGenerator(seed: 9)
            for _ in 0..<3000 {
                guard let index = policy.pick(from: role.candidates(), for: facts(), using: &generator) else {
                    continue
                }
                role.meters[index].enter(tokens: 1000)
            }
            let share = Double(role.meters[0].inFlight) / Double(role.meters[1].inFlight)
            #expect(abs(share - weight) < 0.15, "\(policy.name): \(share)")
        }
    }

    @Test("a recovered backend's share grows from a tenth to its weight")
    func slowStart() {
        let meter = BackendMeter(serial: 0)
        meter.baseWeight = 0.5
        meter.beginRamp(at: 1000, nanoseconds: 1000)
        #expect(meter.weight(at: 1000) == 0.05)
        #expect(abs(meter.weight(at: 1500) - 0.25) < 1e-9)
        #expect(meter.weight(at: 2000) == 0.5)
    }

    @Test("the least loaded is chosen, and equals alike")
    func leastLoaded() {
        let role = TestRole(4)
        role.load([3, 1, 2, 1])
        let counts = role.counts(LeastLoadedPolicy(), picks: 400)
        #expect(counts[0] == 0 && counts[2] == 0 && min(counts[1], counts[3]) > 100, "\(counts)")
    }

    @Test("fewest tokens count, not fewest requests")
    func leastTokens() {
        let role = TestRole(2)
        role.load([1, 3], tokens: [50_000, 300])
        #expect(role.counts(LeastTokensPolicy(), picks: 20, facts: facts()) == [0, 20])
    }

    @Test("two choices are far more even than one")
    func powerOfTwo() {
        func spread(_ policy: some LoadBalancingPolicy) -> Int {
            let role = TestRole(50)
            var generator = SeededGenerator(seed: 5)
            for _ in 0..<5000 {
                if let index = policy.pick(from: role.candidates(), for: RequestFacts(), using: &generator) {
                    role.meters[index].enter()
                }
            }
            let loads = role.meters.map(\.inFlight)
            return (loads.max() ?? 0) - (loads.min() ?? 0)
        }
        let two = spread(PowerOfTwoPolicy())
        let one = spread(RandomPolicy())
        #expect(two <= 5 && two * 4 < one, "\(two) and \(one)")
    }

    @Test("a pick looks at a bounded number of backends")
    func boundedScan() {
        let role = TestRole(1000)
        var generator = SeededGenerator(seed: 1)
        var seen = 0
        _ = role.candidates().least(using: &generator) { _ in
            seen += 1
            return 1
        }
        #expect(seen == Candidates.maximumScan)
    }

    @Test("a request that ended while its engine was asked is not another router's")
    func foreignRequests() {
        let role = TestRole(1)
        let load = EngineLoad(time: role.now, running: 1, waiting: 1)
        role.meters[0].report(load, seen: 2)
        #expect(role.candidates()[0].foreign == 0)
        role.meters[0].report(load, seen: 1)
        #expect(role.candidates()[0].foreign == 1)
        role.meters[0].enter()
        role.meters[0].enter()
        role.meters[0].report(load)
        #expect(role.candidates()[0].foreign == 0)
    }

    @Test("an engine's own numbers are unknown when they are old")
    func staleness() {
        var role = TestRole(1)
        role.meters[0].report(EngineLoad(time: role.now, running: 3, waiting: 2, cacheUsage: 0.5))
        #expect(role.candidates()[0].running == 3 && role.candidates()[0].cacheUsage == 0.5)
        role.now += EngineLoad.maximumAge + 1
        #expect(role.candidates()[0].running == nil && role.candidates()[0].waiting == nil)
    }
}
