import Testing

@testable import DisaggCore

@Suite("Breaker machine")
struct BreakerMachineTests {
    private static let second: UInt64 = 1_000_000_000

    private func opened() -> BreakerMachine {
        var breaker = BreakerMachine()
        for _ in 0..<5 { _ = breaker.record(.fault, at: 0) }
        return breaker
    }

    @Test("faults in a row open it, others do not")
    func opens() {
        var breaker = BreakerMachine()
        for _ in 0..<4 { #expect(breaker.record(.fault, at: 0) == nil) }
        #expect(breaker.record(.answered, at: 0) == nil)
        for _ in 0..<4 { #expect(breaker.record(.fault, at: 0) == nil) }
        #expect(breaker.record(.fault, at: 7) == .opened(until: 2 * Self.second + 7))
        #expect(breaker.name(at: 8) == "open" && breaker.name(at: 3 * Self.second) == "half-open")
    }

    @Test("back-pressure is no fault, and neither is a client's error")
    func innocent() {
        var breaker = BreakerMachine()
        for _ in 0..<100 { #expect(breaker.record(.overloaded(retryAfter: nil), at: 0) == nil) }
        #expect(breaker.state == .closed)
        #expect(LegOutcome.status(429) == .overloaded(retryAfter: nil))
        #expect(LegOutcome.status(503, retryAfter: 7) == .overloaded(retryAfter: 7))
        for status in [200, 400, 404, 422] { #expect(LegOutcome.status(status) == .answered) }
        for status in [500, 502, 504] { #expect(LegOutcome.status(status) == .fault) }
    }

    @Test("what ends while it is open began before, and says nothing")
    func late() {
        var breaker = opened()
        #expect(breaker.record(.answered, at: Self.second) == nil)
        #expect(breaker.record(.fault, at: Self.second) == nil)
        #expect(breaker.state == .open(until: 2 * Self.second))
    }

    @Test("a trial's answer closes it, a trial's fault opens it for twice as long, up to a limit")
    func halfOpen() {
        var breaker = opened()
        var now = 2 * Self.second
        for seconds in [4, 8, 16, 32, 60, 60] as [UInt64] {
            #expect(breaker.record(.fault, at: now) == .opened(until: now + seconds * Self.second))
            now += seconds * Self.second
        }
        #expect(breaker.record(.answered, at: now) == .closed)
        for _ in 0..<4 { #expect(breaker.record(.fault, at: now) == nil) }
        #expect(breaker.record(.fault, at: now) == .opened(until: now + 2 * Self.second))
    }
}
