import Testing

@testable import DisaggCore

@Suite("Pair cost")
struct PairCostPolicyTests {
    private static let second = TestRole.second
    private var facts: RequestFacts {
        var facts = RequestFacts()
        facts.promptTokens = 4000
        facts.outputLimit = 100
        return facts
    }

    private func pick(
        _ policy: PairCostPolicy, _ prefill: TestRole, _ decode: TestRole, _ facts: RequestFacts? = nil
    ) -> [Int]? {
        var generator = SeededGenerator(seed: 4)
        let pair = policy.pickPair(
            prefill: prefill.candidates(), decode: decode.candidates(), for: facts ?? self.facts, using: &generator)
        return pair.map { [$0.prefill, $0.decode] }
    }

    @Test("the shortest queue of tokens and the least busy decoder are chosen")
    func queues() {
        let prefill = TestRole(3)
        prefill.load([1, 1, 1], tokens: [9000, 2000, 8000])
        let decode = TestRole(2)
        decode.load([40, 10])
        #expect(pick(PairCostPolicy(), prefill, decode) == [1, 1])
    }

    @Test("a queue is measured by the time it takes: a fast engine may have the longer one")
    func speed() {
        let prefill = TestRole(2)
        for (index, tokensPerSecond) in [40_000, 10_000].enumerated() {
            prefill.meters[index].prefillBegan(at: 0)
            prefill.meters[index].prefillEnded(tokens: tokensPerSecond - 512, at: Self.second)
        }
        prefill.load([1, 1], tokens: [20_000, 10_000])
        #expect(pick(PairCostPolicy(), prefill, TestRole(1)) == [0, 0])
    }

    @Test("what is cached is no work, until the queue costs more than it saves")
    func cached() {
        let policy = PairCostPolicy()
        let prefill = TestRole(2)
        let decode = TestRole(1)
        var facts = facts
        facts.prefixKeys = PrefixIndexTests.keys(String(repeating: "p", count: 16_000))
        let first = pick(policy, prefill, decode, facts)?[0] ?? 0
        prefill.meters[first].enter(tokens: 2000)
        #expect(pick(policy, prefill, decode, facts)?[0] == first)
        prefill.meters[first].enter(tokens: 20_000)
        #expect(pick(policy, prefill, decode, facts)?[0] == 1 - first)
    }

    @Test("a pair within one topology group is preferred, and a crossing taken where the queue costs more")
    func topology() {
        let prefill = TestRole(2, groups: [0, 1])
        let decode = TestRole(2, groups: [0, 1])
        decode.load([4, 0])
        prefill.load([0, 1], tokens: [0, 100])
        // 4,000 tokens across cost 20 ms, within 2 ms; the queue of 100 tokens and a request's fixed part 17 ms.
        let pair = pick(PairCostPolicy(), prefill, decode)
        #expect(pair == [1, 1])
        prefill.load([0, 1], tokens: [0, 50_000])
        #expect(pick(PairCostPolicy(), prefill, decode)?[0] == 0)
    }

    @Test("a decoder under pressure is avoided: full KV cache, waiting requests, slow steps")
    func pressure() {
        let decode = TestRole(2)
        decode.meters[0].report(EngineLoad(time: decode.now, running: 4, waiting: 0, cacheUsage: 0.97))
        decode.meters[1].report(EngineLoad(time: decode.now, running: 20, waiting: 0, cacheUsage: 0.5))
        #expect(pick(PairCostPolicy(), TestRole(1), decode) == [0, 1])
        decode.meters[0].report(EngineLoad(time: decode.now, running: 4, waiting: 0, cacheUsage: 0.2))
        #expect(pick(PairCostPolicy(), TestRole(1), decode) == [0, 0])
        decode.meters[0].report(EngineLoad(time: decode.now, running: 4, waiting: 30, cacheUsage: 0.2))
        #expect(pick(PairCostPolicy(), TestRole(1), decode) == [0, 1])
        let slow = TestRole(2)
        slow.meters[0].observe(timePerToken: 0.02, running: 1)
        slow.meters[1].observe(timePerToken: 0.005, running: 1)
        #expect(pick(PairCostPolicy(), TestRole(1), slow) == [0, 1])
    }

    @Test("other routers' requests are seen through the engine")
    func foreign() {
        let prefill = TestRole(2)
        prefill.meters[0].report(EngineLoad(time: prefill.now, running: 1, waiting: 6, cacheUsage: 0.1))
        #expect(pick(PairCostPolicy(), prefill, TestRole(1)) == [1, 0])
    }

    @Test("without an eligible backend in a role there is no pair")
    func none() {
        let decode = TestRole(1)
        decode.meters[0].block(.down)
        #expect(pick(PairCostPolicy(), TestRole(2), decode) == nil)
        #expect(pick(PairCostPolicy(), TestRole(0), TestRole(1)) == nil)
    }

    @Test("speed is that of being busy, whatever ends together")
    func throughput() {
        var meter = ThroughputMeter()
        #expect(meter.tokensPerSecond == nil)
        meter.began(at: 0)
        meter.began(at: 0)
        meter.ended(tokens: 9488, at: Self.second)
        meter.ended(tokens: 9488, at: Self.second)
        #expect(abs((meter.tokensPerSecond ?? 0) - 20_000) < 1)
        // Idle time does not count.
        meter.began(at: 100 * Self.second)
        meter.ended(tokens: 19_488, at: 101 * Self.second)
        #expect(abs((meter.tokensPerSecond ?? 0) - 20_000) < 1)
        // A slower engine is noticed.
        for second in 101..<141 as Range<UInt64> {
            meter.began(at: second * Self.second)
            meter.ended(tokens: 4488, at: (second + 1) * Self.second)
        }
        #expect(abs((meter.tokensPerSecond ?? 0) - 5000) < 500)
    }
}
