import Testing

@testable import DisaggCore

/// What the machine does about failures where restarts are allowed.
@Suite("LaunchMachine's restarts")
struct LaunchRestartTests {
    /// 0 proxy, 1 and 2 decode engines, 3 and 4 prefill engines that follow them; everything is up.
    private func up(_ change: (inout RestartPolicy) -> Void = { _ in }) -> LaunchMachine {
        var policy = RestartPolicy()
        change(&policy)
        let prefill = LaunchMachine.Member(role: "prefill", follows: [1, 2])
        var machine = LaunchMachine(
            [.init(role: "proxy"), .init(role: "decode"), .init(role: "decode"), prefill, prefill], policy: policy)
        _ = machine.begin()
        for index in 0..<5 { _ = machine.started(index) }
        for index in 0..<5 { _ = machine.ready(index, at: .zero) }
        _ = machine.proven()
        return machine
    }

    @Test("a prefill engine that dies is started again after a wait, alone")
    func alone() {
        var machine = up()
        #expect(
            machine.exited(3, .status(1), at: .seconds(5)) == [
                .report(.died(3, .status(1), beforeReady: false)),
                .report(.restarting(3, after: .seconds(1), attempt: 1)), .startLater(3, .seconds(1)),
            ])
        #expect(machine.restartDue(3) == [.start(3)])
        #expect(machine.started(3) == [])
        #expect(machine.ready(3, at: .seconds(9)) == [.prove])
        #expect(machine.proven() == [.report(.recovered)])
        #expect(machine.phase == .up)
    }

    @Test("a decode engine's restart restarts the prefill engines that knew it, and they start after it")
    func coupled() {
        var machine = up()
        let actions = machine.exited(1, .signal(11), at: .seconds(5))
        #expect(
            actions.suffix(4) == [
                .report(.following(3, leader: 1)), .retire(3), .report(.following(4, leader: 1)), .retire(4),
            ])
        // They end before the decode engine's wait is over: they are held back.
        #expect(machine.exited(3, .signal(15), at: .seconds(5)) == [])
        #expect(machine.processes[3] == .held)
        #expect(machine.restartDue(1) == [.start(1)])
        #expect(machine.started(1) == [.start(3)])
        // This one takes longer to end, and then need not wait.
        #expect(machine.exited(4, .signal(9), at: .seconds(8)) == [.start(4)])
        // The other decode engine was left alone, and none of this counts as a failure of the prefill engines.
        #expect(machine.processes[2] == .ready && machine.restarts[3].restarts == 0)
    }

    @Test("a prefill engine that was never ready has talked to nobody and goes on starting")
    func neverReady() {
        var machine = LaunchMachine([.init(role: "proxy"), .init(role: "decode"), .init(role: "prefill", follows: [1])])
        _ = machine.begin()
        for index in 0..<3 { _ = machine.started(index) }
        #expect(!machine.exited(1, .status(1), at: .zero).contains(.retire(2)))
        #expect(machine.processes[2] == .running)
    }

    @Test("waits double, up to a limit, and begin anew after a stable time")
    func backOff() {
        var policy = RestartPolicy()
        policy.maximumRestarts = 100
        policy.maximumDelay = .seconds(5)
        var restarts = RestartMachine(policy)
        let waits = (0..<5).map { restarts.failed(at: .seconds($0), isPermanent: false) }
        #expect(
            waits
                == [1, 2, 4, 5, 5].enumerated().map {
                    .restart(after: .seconds($0.element), attempt: $0.offset + 1)
                })
        restarts.becameReady(at: .seconds(10))
        #expect(restarts.failed(at: .seconds(20), isPermanent: false) == .restart(after: .seconds(5), attempt: 6))
        restarts.becameReady(at: .seconds(30))
        #expect(restarts.failed(at: .seconds(200), isPermanent: false) == .restart(after: .seconds(1), attempt: 7))
    }

    @Test("only failures within the window count for the cap")
    func window() {
        var policy = RestartPolicy()
        policy.maximumRestarts = 2
        policy.window = .seconds(100)
        var restarts = RestartMachine(policy)
        for now in [0, 60, 120, 180] {
            guard case .restart = restarts.failed(at: .seconds(now), isPermanent: false) else {
                Issue.record("given up at \(now)")
                return
            }
        }
        #expect(restarts.failed(at: .seconds(190), isPermanent: false) == .giveUp(failures: 3))
    }

    @Test("a cause that no restart cures ends the tries at once, but not for a process that has worked")
    func permanent() {
        var never = RestartMachine()
        #expect(never.failed(at: .zero, isPermanent: true) == .giveUp(failures: 1))
        var once = RestartMachine()
        once.becameReady(at: .zero)
        #expect(once.failed(at: .zero, isPermanent: true) == .restart(after: .seconds(1), attempt: 1))
    }

    @Test("where another engine of the role is left, the rest goes on without one that is given up")
    func degraded() {
        var machine = up { $0.maximumRestarts = 0 }
        let actions = machine.exited(3, .status(1), at: .zero)
        #expect(actions.contains(.report(.givenUp(3, failures: 1, goesOn: true))))
        #expect(machine.phase == .up && machine.processes[3] == .failed)
        // What is left was complete already; that is proven once more.
        #expect(actions.last == .prove)
        // The last one of its role ends everything.
        #expect(machine.exited(4, .status(1), at: .zero).contains(.report(.givenUp(4, failures: 1, goesOn: false))))
        #expect(machine.phase == .draining)
    }

    @Test("a faulty process is killed and counts as failed, without a second complaint about its signal")
    func faulty() {
        var machine = up()
        #expect(machine.faulty(2, "hung") == [.report(.faulty(2, "hung")), .kill(2)])
        #expect(machine.faulty(2, "hung") == [])
        let actions = machine.exited(2, .signal(9), at: .zero)
        #expect(actions.first == .report(.restarting(2, after: .seconds(1), attempt: 1)))
        #expect(actions.contains(.retire(3)) && actions.contains(.retire(4)))
    }

    @Test("a hand-off that does not work ends the start with status 1, and is only reported later")
    func notProven() {
        var machine = LaunchMachine([.init(role: "proxy")])
        _ = machine.begin() + machine.started(0) + machine.ready(0, at: .zero)
        #expect(machine.notProven("x") == [.report(.notProven("x")), .setTimer(.grace), .terminate(0)])
        #expect(machine.exited(0, .status(0), at: .zero) == [.finish(1)])
        var later = up()
        #expect(later.notProven("x") == [.report(.notProven("x"))])
        // While a process is away, a request may fail.
        _ = later.exited(3, .status(1), at: .zero)
        #expect(later.notProven("x") == [] && later.proven() == [])
    }

    @Test("a stop calls off restarts that wait")
    func stopWhileWaiting() {
        var machine = up()
        _ = machine.exited(1, .status(1), at: .zero)
        #expect(machine.stopRequested() == [.report(.stopping), .setTimer(.drain), .terminate(0)])
        #expect(machine.restartDue(1) == [])
        _ = machine.exited(0, .status(0), at: .zero)
        for index in [2, 3] { #expect(machine.exited(index, .signal(15), at: .zero) == []) }
        #expect(machine.exited(4, .signal(15), at: .zero) == [.finish(0)])
    }
}
