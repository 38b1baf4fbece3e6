import Testing

@testable import DisaggCore

@Suite("Arrivals and load")
struct ArrivalProcessTests {
    @Test(
        "gaps have the rate's mean and the burstiness's variance", arguments: [0.25, 1, 4, Double.infinity],
        [3.0, 2500])
    func moments(burstiness: Double, rate: Double) {
        var process = ArrivalProcess(rate: rate, burstiness: burstiness, seed: 42)
        let count = 100_000
        let gaps = (0..<count).map { _ in Double(process.nextGap()) }
        let mean = gaps.reduce(0, +) / Double(count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
        #expect(abs(mean * rate / 1e9 - 1) < 0.02)
        // A gamma variate's squared coefficient of variation is one by its shape.
        let expected = burstiness.isFinite ? 1 / burstiness : 0
        #expect(abs(variance / (mean * mean) - expected) <= 0.06 * expected)
    }

    @Test("a Poisson process has exponential gaps")
    func exponential() {
        var process = ArrivalProcess(rate: 1, seed: 1)
        let gaps = (0..<50_000).map { _ in Double(process.nextGap()) / 1e9 }
        // P(gap > t) is e to the -t.
        for (time, share) in [(0.1, 0.9048), (1.0, 0.3679), (3.0, 0.0498)] {
            #expect(abs(Double(gaps.count { $0 > time }) / 50_000 - share) < 0.01)
        }
    }

    @Test("the seed decides", arguments: [0.5, 1, 3])
    func seeds(burstiness: Double) {
        func gaps(_ seed: UInt64) -> [Int] {
            var process = ArrivalProcess(rate: 10, burstiness: burstiness, seed: seed)
            return (0..<100).map { _ in process.nextGap() }
        }
        #expect(gaps(5) == gaps(5))
        #expect(gaps(5) != gaps(6))
        #expect(gaps(0) != gaps(1))
    }

    private func settings(_ change: (inout BenchSettings) -> Void) throws -> BenchSettings {
        var settings = BenchSettings(target: try BenchTarget("http://127.0.0.1:1"))
        change(&settings)
        return settings
    }

    @Test("a closed loop keeps as many requests open as it may, and starts as many as it should")
    func closedLoop() throws {
        var load = BenchLoad.measured(
            try settings {
                $0.concurrency = 3
                $0.requests = 5
            }, now: 0)
        var open = 0
        while load.next(open: open, now: 10) != nil { open += 1 }
        #expect(open == 3 && !load.isExhausted)
        #expect(load.next(open: 2, now: 11) == 11)
        #expect(load.next(open: 2, now: 12) == 12)
        #expect(load.isExhausted)
        #expect(load.next(open: 0, now: 13) == nil)
        #expect(load.wakeUp == nil)
    }

    @Test("a closed loop with a duration starts nothing after it")
    func duration() throws {
        var load = BenchLoad.measured(try settings { $0.duration = .seconds(1) }, now: 5)
        #expect(load.next(open: 0, now: 1_000_000_004) != nil)
        #expect(load.next(open: 0, now: 1_000_000_005) == nil)
        #expect(load.isExhausted)
    }

    @Test("an open loop starts what is due however late, asks for one timer, and waits at its limit")
    func openLoop() throws {
        var load = BenchLoad.measured(
            try settings {
                $0.concurrency = 2
                $0.rate = 1000
                $0.burstiness = .infinity
                $0.requests = 4
            }, now: 0)
        #expect(load.next(open: 0, now: 0) == 0)
        #expect(load.next(open: 1, now: 0) == nil)
        #expect(load.wakeUp == 1_000_000)
        load.wakeUp = nil
        #expect(load.next(open: 1, now: 500_000) == nil)
        #expect(load.wakeUp == nil)
        // Two are due, there is room for one.
        #expect(load.next(open: 1, now: 2_500_000) == 1_000_000)
        #expect(load.next(open: 2, now: 2_500_000) == nil)
        #expect(load.wakeUp == nil)
        #expect(load.next(open: 1, now: 9_000_000) == 2_000_000)
        #expect(load.next(open: 1, now: 9_000_000) == 3_000_000)
        #expect(load.isExhausted)
    }
}
