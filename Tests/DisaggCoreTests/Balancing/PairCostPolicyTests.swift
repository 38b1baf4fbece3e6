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
            let meter = prefill.meters[index]
            // The first one does not count.
            for (start, tokens) in [(0, 1), (Self.second, tokensPerSecond - 512)] {
                meter.prefillBegan(at: start)
                meter.prefillEnded(tokens: tokens, at: start + Self.second)
            }
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
        // 8,000 tokens across cost 40 ms, within 4 ms; the queue of 100 tokens and what a request counts 26 ms.
        var facts = facts
        facts.promptTokens = 8000
        let pair = pick(PairCostPolicy(), prefill, decode, facts)
        #expect(pair == [1, 1])
        prefill.load([0, 1], tokens: [0, 50_000])
        #expect(pick(PairCostPolicy(), prefill, decode, facts)?[0] == 0)
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
        for _ in 0..<3 {
            slow.meters[0].observe(timePerToken: 0.02, running: 1, at: slow.now)
            slow.meters[1].observe(timePerToken: 0.005, running: 1, at: slow.now)
        }
        #expect(pick(PairCostPolicy(), TestRole(1), slow) == [0, 1])
    }

    @Test("without a hand-off the prompts that wait count, and what is cached does not")
    func alone() {
        let policy = PairCostPolicy()
        let engines = TestRole(2)
        var generator = SeededGenerator(seed: 4)
        var facts = facts
        facts.prefixKeys = PrefixIndexTests.keys(String(repeating: "p", count: 16_000))
        func pick() -> AloneChoice? {
            policy.pickAlone(from: engines.candidates(), for: facts, using: &generator)
        }
        let first = pick()
        #expect(first?.cachedTokens == 0)
        guard let first else { return }
        let second = pick()
        #expect(second?.decode == first.decode && (second?.cachedTokens ?? 0) > 3000)
        engines.meters[first.decode].beginPrompt(tokens: 20_000)
        #expect(pick()?.decode == 1 - first.decode)
        // Where it is computed, only a longer answer is in the way of the next: all of a request's tokens are no queue.
        engines.meters[first.decode].endPrompt(tokens: 20_000)
        engines.meters[first.decode].enter(tokens: 20_000)
        facts.prefixKeys = []
        engines.meters[1 - first.decode].beginPrompt(tokens: 4000)
        #expect(pick()?.decode == first.decode)
    }

    @Test("the time to a first token is averaged from the first on, and forgotten with the rest")
    func firstTokenTime() {
        let backend = BackendMeter(serial: 0)
        #expect(backend.timeToFirstToken == nil)
        for _ in 0..<3 { backend.observe(timeToFirstToken: 0.2, at: Self.second) }
        #expect(abs((backend.timeToFirstToken ?? 0) - 0.2) < 1e-9)
        backend.observe(timeToFirstToken: 0.4, at: Self.second)
        #expect(abs((backend.timeToFirstToken ?? 0) - 0.22) < 1e-9)
        backend.observe(timeToFirstToken: .infinity, at: Self.second)
        #expect(abs((backend.timeToFirstToken ?? 0) - 0.22) < 1e-9)
        backend.forgetOldObservations(at: 32 * Self.second)
        #expect(backend.timeToFirstToken == nil)
    }

    @Test("a short time of being busy tells nothing, and neither does the first prefill")
    func evidence() {
        var meter = ThroughputMeter()
        for start in [0, 1, 2, 3] as [UInt64] {
            meter.began(at: start * Self.second)
            meter.ended(tokens: 1000, at: start * Self.second + Self.second / 4)
            if start < 3 { #expect(meter.tokensPerSecond == nil) }
        }
        #expect(meter.tokensPerSecond != nil)
        let backend = BackendMeter(serial: 0)
        for (number, isKnown) in [(0, false), (1, false), (2, true)] {
            backend.observe(timePerToken: 0.01, running: 1, at: Self.second + UInt64(number))
            #expect((backend.timePerToken != nil) == isKnown)
        }
        // Long after the last observation nothing is known any more.
        backend.forgetOldObservations(at: 30 * Self.second)
        #expect(backend.timePerToken != nil)
        backend.forgetOldObservations(at: 32 * Self.second)
        #expect(backend.timePerToken == nil)
    }

    @Test("of two idle engines that are alike none is left alone for a bad first impression", arguments: [1, 4])
    func firstImpression(coldPrefills: Int) {
        let decode = TestRole(1)
        let policy = PairCostPolicy()
        var prefill = TestRole(2)
        var counts = [0, 0]
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<940 {
            for meter in prefill.meters { meter.forgetOldObservations(at: prefill.now) }
            guard
                let pair = policy.pickPair(
                    prefill: prefill.candidates(), decode: decode.candidates(), for: facts, using: &generator)
            else { continue }
            let meter = prefill.meters[pair.prefill]
            meter.enter(tokens: 4000)
            meter.prefillBegan(at: prefill.now)
            // The second engine's first prefills take three times as long.
            let isCold = pair.prefill == 1 && counts[1] < coldPrefills
            prefill.now += Self.second / 10 * (isCold ? 3 : 1)
            meter.prefillEnded(tokens: 4000, at: prefill.now)
            meter.leave(tokens: 4000)
            counts[pair.prefill] += 1
            prefill.now += Self.second / 10
        }
        #expect(counts.reduce(0, +) == 940)
        #expect(counts.allSatisfy { $0 >= 300 }, "\(counts)")
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
        // The first prefill meets a cold engine.
        meter.began(at: 0)
        meter.ended(tokens: 100, at: 0)
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
