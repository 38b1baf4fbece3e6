import Testing

@testable import DisaggCore

@Suite("LaunchMachine")
struct LaunchMachineTests {
    /// A machine whose processes all run: 0 is the proxy.
    private func running(_ count: Int = 3) -> LaunchMachine {
        var machine = LaunchMachine(processes: count)
        _ = machine.begin()
        for index in 0..<count { _ = machine.started(index) }
        return machine
    }

    private func up(_ count: Int = 3) -> LaunchMachine {
        var machine = running(count)
        for index in 0..<count { _ = machine.ready(index) }
        return machine
    }

    @Test("processes start one after the other, the proxy first")
    func startOrder() {
        var machine = LaunchMachine(processes: 3)
        #expect(machine.begin() == [.setTimer(.ready), .start(0)])
        #expect(machine.started(0) == [.start(1)])
        #expect(machine.started(1) == [.start(2)])
        #expect(machine.started(2) == [])
    }

    @Test("all are announced when the last is ready")
    func ready() {
        var machine = running()
        #expect(machine.ready(2) == [])
        #expect(machine.ready(0) == [])
        #expect(machine.ready(0) == [])
        #expect(machine.ready(1) == [.report(.allReady)])
        #expect(machine.timerFired(.ready) == [])
    }

    @Test("a stop drains the proxy before the engines are asked to end, and ends with status 0")
    func politeStop() {
        var machine = up()
        #expect(machine.stopRequested() == [.report(.stopping), .setTimer(.drain), .terminate(0)])
        #expect(machine.exited(0, .status(0)) == [.setTimer(.grace), .terminate(1), .terminate(2)])
        #expect(machine.exited(2, .signal(15)) == [])
        #expect(machine.exited(1, .status(0)) == [.finish(0)])
    }

    @Test("a proxy that does not drain in time is killed, then the engines are asked to end")
    func drainTimeout() {
        var machine = up(2)
        _ = machine.stopRequested()
        #expect(
            machine.timerFired(.drain)
                == [.report(.killing([0])), .kill(0), .setTimer(.grace), .terminate(0), .terminate(1)])
    }

    @Test("engines that ignore SIGTERM are killed after the grace")
    func grace() {
        var machine = up(2)
        _ = machine.stopRequested()
        _ = machine.exited(0, .status(0))
        #expect(machine.timerFired(.grace) == [.report(.killing([1])), .kill(1)])
        #expect(machine.exited(1, .signal(9)) == [.finish(0)])
    }

    @Test("a second stop kills at once")
    func secondStop() {
        var machine = up(2)
        _ = machine.stopRequested()
        #expect(machine.stopRequested() == [.report(.killing([0, 1])), .kill(0), .kill(1)])
        #expect(machine.stopRequested() == [])
    }

    @Test("a death before readiness stops all without a drain, with status 1")
    func earlyDeath() {
        var machine = running()
        #expect(
            machine.exited(2, .status(3)) == [
                .report(.died(2, .status(3), beforeReady: true)), .setTimer(.grace), .terminate(0), .terminate(1),
            ])
        _ = machine.exited(0, .status(0))
        #expect(machine.exited(1, .status(0)) == [.finish(1)])
    }

    @Test("a death while serving lets the proxy drain, and the status stays 1 when the user stops too")
    func lateDeath() {
        var machine = up()
        #expect(
            machine.exited(1, .signal(9)) == [
                .report(.died(1, .signal(9), beforeReady: false)), .setTimer(.drain), .terminate(0),
            ])
        _ = machine.stopRequested()
        _ = machine.exited(0, .signal(9))
        #expect(machine.exited(2, .signal(9)) == [.finish(1)])
    }

    @Test("the proxy's own death leaves nothing to drain")
    func proxyDeath() {
        var machine = up(2)
        #expect(
            machine.exited(0, .status(1)) == [
                .report(.died(0, .status(1), beforeReady: false)), .setTimer(.grace), .terminate(1),
            ])
    }

    @Test("a process whose start finishes after the stop is asked to end too")
    func stopWhileSpawning() {
        var machine = LaunchMachine(processes: 2)
        _ = machine.begin()
        #expect(machine.stopRequested() == [.report(.stopping), .setTimer(.grace)])
        #expect(machine.started(0) == [.terminate(0)])
        #expect(machine.exited(0, .signal(15)) == [.finish(0)])
    }

    @Test("a program that cannot be started stops the rest")
    func cannotStart() {
        var machine = LaunchMachine(processes: 2)
        _ = machine.begin()
        _ = machine.started(0)
        #expect(
            machine.couldNotStart(1, "no such file")
                == [.report(.couldNotStart(1, "no such file")), .setTimer(.grace), .terminate(0)])
        var alone = LaunchMachine(processes: 1)
        _ = alone.begin()
        #expect(alone.couldNotStart(0, "x") == [.report(.couldNotStart(0, "x")), .setTimer(.grace), .finish(1)])
    }

    @Test("processes that are not ready in time are named")
    func readyTimeout() {
        var machine = running(2)
        _ = machine.ready(0)
        #expect(machine.timerFired(.ready).first == .report(.notReady([1])))
    }

    @Test("any order of events ends in exactly one finish once all are gone, and nothing follows it")
    func randomEvents() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let count = Int.random(in: 1...4, using: &generator)
            var machine = LaunchMachine(processes: count)
            var actions = machine.begin()
            for _ in 0..<40 {
                let index = Int.random(in: 0..<count, using: &generator)
                switch Int.random(in: 0..<7, using: &generator) {
                case 0, 1: actions += machine.started(index)
                case 2: actions += machine.ready(index)
                case 3: if machine.processes[index] == .running { actions += machine.exited(index, .status(1)) }
                case 4: actions += machine.stopRequested()
                case 5: actions += machine.timerFired([.ready, .drain, .grace][index % 3])
                default: actions += machine.couldNotStart(index, "x")
                }
            }
            actions += machine.stopRequested() + machine.stopRequested()
            for index in 0..<count {
                actions += machine.started(index)
                if machine.processes[index] != .idle { actions += machine.exited(index, .signal(9)) }
            }
            let finishes = actions.filter { if case .finish = $0 { true } else { false } }
            #expect(finishes.count == 1)
            #expect(actions.last.map { if case .finish = $0 { true } else { false } } == true)
        }
    }
}
