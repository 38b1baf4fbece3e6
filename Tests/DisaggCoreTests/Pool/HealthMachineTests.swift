import Testing

@testable import DisaggCore

@Suite("Health machine")
struct HealthMachineTests {
    @Test("a refused connection takes a backend out at once, once")
    func refused() {
        var health = HealthMachine(unhealthyAfter: 3)
        #expect(health.refused() == .wentDown(.refused))
        #expect(health.refused() == nil)
        #expect(health.failed(.refused) == nil)
        #expect(health.passed() == .cameUp(after: .refused))
        #expect(health.failed(.refused) == .wentDown(.refused))
    }

    @Test("failed checks count in a row")
    func failed() {
        var health = HealthMachine(unhealthyAfter: 3)
        for _ in 0..<2 { #expect(health.failed(.silent) == nil) }
        #expect(health.passed() == nil)
        for _ in 0..<2 { #expect(health.failed(.silent) == nil) }
        #expect(health.failed(.silent) == .wentDown(.silent))
        #expect(health.failed(.silent) == nil)
        #expect(health.passed() == .cameUp(after: .silent))
    }

    @Test("an answered request proves a silent engine alive, but not one whose health check says that it is dead")
    func answered() {
        var health = HealthMachine(unhealthyAfter: 1)
        #expect(health.answered() == nil)
        _ = health.failed(.silent)
        #expect(health.answered() == .cameUp(after: .silent))
        _ = health.failed(.unhealthy)
        #expect(health.answered() == nil)
        #expect(health.state == .down(.unhealthy))
        #expect(health.passed() == .cameUp(after: .unhealthy))
    }
}
