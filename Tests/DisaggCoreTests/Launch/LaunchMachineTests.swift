import Testing

@testable import DisaggCore

@Suite("LaunchMachine")
struct LaunchMachineTests {
    /// Proxy, decode engine and any number of prefill engines that follow it; failures end everything.
    private func machine(_ count: Int, restarts: Int = 0) -> LaunchMachine {
        var policy = RestartPolicy()
        policy.maximumRestarts = restarts
        let members = (0..<count).map { index in
            index < 2
                ? LaunchMachine.Member(role: index == 0 ? "proxy" : "decode")
                : LaunchMachine.Member(role: "prefill", follows: [1])
        }
        return LaunchMachine(members, policy: policy)
    }

    /// A machine whose processes all run: 0 is the proxy.
    private func running(_ count: Int = 3, restarts: Int = 0) -> LaunchMachine {
        var machine = self.machine(count, restarts: restarts)
        _ = machine.begin()
        for index in 0..<count { _ = machine.started(index) }
        return machine
    }

    private func up(_ count: Int = 3, restarts: Int = 0) -> LaunchMachine {
        var machine = running(count, restarts: restarts)
        for index in 0..<count { _ = machine.ready(index, at: .zero) }
        _ = machine.proven()
        return machine
    }

    @Test("processes start one after the other, the proxy first")
    func startOrder() {
        var machine = self.machine(3)
        #expect(machine.begin() == [.setTimer(.ready), .start(0)])
        #expect(machine.started(0) == [.start(1)])
        #expect(machine.started(1) == [.start(2)])
        #expect(machine.started(2) == [])
    }

    @Test("all are announced when the last is ready and a request went through")
    func ready() {
        var machine = running()
        #expect(machine.ready(2, at: .zero) == [])
        #expect(machine.ready(0, at: .zero) == [])
        #expect(machine.ready(0, at: .zero) == [])
        #expect(machine.ready(1, at: .zero) == [.prove])
        #expect(machine.phase == .proving)
        #expect(machine.proven() == [.report(.allReady)])
        #expect(machine.timerFired(.ready) == [])
    }

    @Test("a stop drains the proxy before the engines are asked to end, and ends with status 0")
    func politeStop() {
        var machine = up()
        #expect(machine.stopRequested() == [.report(.stopping), .setTimer(.drain), .terminate(0)])
        #expect(machine.exited(0, .status(0), at: .zero) == [.setTimer(.grace), .terminate(1), .terminate(2)])
        #expect(machine.exited(2, .signal(15), at: .zero) == [])
        #expect(machine.exited(1, .status(0), at: .zero) == [.finish(0)])
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
        _ = machine.exited(0, .status(0), at: .zero)
        #expect(machine.timerFired(.grace) == [.report(.killing([1])), .kill(1)])
        #expect(machine.exited(1, .signal(9), at: .zero) == [.finish(0)])
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
            machine.exited(2, .status(3), at: .zero) == [
                .report(.died(2, .status(3), beforeReady: true)), .report(.givenUp(2, failures: 1, goesOn: false)),
                .setTimer(.grace), .terminate(0), .terminate(1),
            ])
        _ = machine.exited(0, .status(0), at: .zero)
        #expect(machine.exited(1, .status(0), at: .zero) == [.finish(1)])
    }

    @Test("a death while serving lets the proxy drain, and the status stays 1 when the user stops too")
    func lateDeath() {
        var machine = up()
        #expect(
            machine.exited(1, .signal(9), at: .zero) == [
                .report(.died(1, .signal(9), beforeReady: false)), .report(.givenUp(1, failures: 1, goesOn: false)),
                .setTimer(.drain), .terminate(0),
            ])
        _ = machine.stopRequested()
        _ = machine.exited(0, .signal(9), at: .zero)
        #expect(machine.exited(2, .signal(9), at: .zero) == [.finish(1)])
    }

    @Test("the proxy's own death leaves nothing to drain")
    func proxyDeath() {
        var machine = up(2)
        #expect(
            machine.exited(0, .status(1), at: .zero) == [
                .report(.died(0, .status(1), beforeReady: false)), .report(.givenUp(0, failures: 1, goesOn: false)),
                .setTimer(.grace), .terminate(1),
            ])
    }

    @Test("a process whose start finishes after the stop is asked to end too")
    func stopWhileSpawning() {
        var machine = self.machine(2)
        _ = machine.begin()
        #expect(machine.stopRequested() == [.report(.stopping), .setTimer(.grace)])
        #expect(machine.started(0) == [.terminate(0)])
        #expect(machine.exited(0, .signal(15), at: .zero) == [.finish(0)])
    }

    @Test("a program that cannot be started stops the rest")
    func cannotStart() {
        var machine = self.machine(2)
        _ = machine.begin()
        _ = machine.started(0)
        #expect(
            machine.couldNotStart(1, "no such file")
                == [
                    .report(.couldNotStart(1, "no such file")), .report(.givenUp(1, failures: 1, goesOn: false)),
                    .setTimer(.grace), .terminate(0),
                ])
        var alone = self.machine(1)
        _ = alone.begin()
        #expect(alone.couldNotStart(0, "x").last == .finish(1))
    }

    @Test("processes that are not ready in time are named")
    func readyTimeout() {
        var machine = running(2)
        _ = machine.ready(0, at: .zero)
        #expect(machine.timerFired(.ready).first == .report(.notReady([1])))
    }
}
