import Testing

@testable import DisaggCore

@Suite("Adaptive polling")
struct AdaptivePollingTests {
    @Test("sleeps until waits were short for a while")
    func learns() {
        var polling = AdaptivePolling(window: 1000)
        #expect(!polling.isWorthwhile)
        for _ in 0..<4 { polling.waited(10) }
        #expect(!polling.isWorthwhile)
        for _ in 0..<60 { polling.waited(10) }
        #expect(polling.isWorthwhile)
    }

    @Test("one long wait ends it, and it is not remembered for longer than a few dozen short ones")
    func forgets() {
        var polling = AdaptivePolling(window: 1000)
        for _ in 0..<64 { polling.waited(10) }
        polling.waited(3_600_000_000_000)
        #expect(!polling.isWorthwhile)
        for _ in 0..<64 { polling.waited(10) }
        #expect(polling.isWorthwhile)
    }

    @Test("waits as long as an engine computes never start it")
    func engines() {
        var polling = AdaptivePolling(window: 200_000)
        for _ in 0..<1000 {
            polling.waited(5_000_000)
            #expect(!polling.isWorthwhile)
        }
    }

    @Test("takes any number for a wait")
    func anyNumber() {
        var polling = AdaptivePolling(window: 1000)
        for value: Int64 in [.min, -1, 0, 1, .max, .max, .min] { polling.waited(value) }
        #expect(polling.averageWait >= 0)
    }
}
