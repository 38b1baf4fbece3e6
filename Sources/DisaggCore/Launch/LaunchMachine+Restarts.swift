/// What becomes of processes that fail while the rest is kept running.
extension LaunchMachine {
    /// A process runs, but cannot serve: it does not answer, or works in a way that its configuration does not mean.
    package mutating func faulty(_ index: Int, _ reason: String, isPermanent: Bool = false) -> [Action] {
        guard isServing, processes.indices.contains(index),
            processes[index] == .running || processes[index] == .ready
        else { return [] }
        processes[index] = .condemned
        if isPermanent { permanentFaults.insert(index) }
        return [.report(.faulty(index, reason)), .kill(index)]
    }

    /// The wait of a restart is over.
    package mutating func restartDue(_ index: Int) -> [Action] {
        guard isServing, processes.indices.contains(index), processes[index] == .waiting else { return [] }
        processes[index] = .held
        return startHeld()
    }

    /// A process ended while it should not have.
    mutating func failed(_ index: Int, _ exit: ProcessExit, isPermanent: Bool, at now: Duration) -> [Action] {
        if phase == .proving { phase = .starting }
        if processes[index] == .retiring {
            restarts[index].stopped()
            processes[index] = .held
            return startHeld()
        }
        let isKnown = processes[index] == .condemned
        let isPermanent = permanentFaults.remove(index) != nil || (isPermanent && !isKnown)
        let report = Report.died(index, exit, beforeReady: processes[index] != .ready)
        let actions: [Action] = isKnown ? [] : [.report(report)]
        switch restarts[index].failed(at: now, isPermanent: isPermanent) {
        case .giveUp(let failures): return actions + giveUp(index, failures: failures)
        case .restart(let wait, let attempt):
            processes[index] = .waiting
            return actions + [.report(.restarting(index, after: wait, attempt: attempt)), .startLater(index, wait)]
                + retireFollowers(of: index)
        }
    }

    /// Leaves a process; the rest goes on where it has served and can serve without it.
    mutating func giveUp(_ index: Int, failures: Int) -> [Action] {
        processes[index] = .failed
        let goesOn =
            phase == .up
            && members.indices.contains {
                members[$0].role == members[index].role && processes[$0] != .failed && index != 0
            }
        let report = Action.report(.givenUp(index, failures: failures, goesOn: goesOn))
        guard goesOn else { return [report] + stop(status: 1) }
        return [report] + retireFollowers(of: index) + startHeld() + prove()
    }

    /// Restarts those that have talked to a process that is no more; one that was never ready has talked to nobody.
    private mutating func retireFollowers(of leader: Int) -> [Action] {
        var actions: [Action] = []
        for index in members.indices where members[index].follows.contains(leader) && processes[index] == .ready {
            processes[index] = .retiring
            actions += [.report(.following(index, leader: leader)), .retire(index)]
        }
        return actions
    }

    /// Starts what was held back and now has everything before it.
    mutating func startHeld() -> [Action] {
        var actions: [Action] = []
        for index in members.indices where processes[index] == .held {
            let mayStart = members[index].follows.allSatisfy {
                [.running, .ready, .failed].contains(processes[$0])
            }
            guard mayStart else { continue }
            processes[index] = .spawning
            actions.append(.start(index))
        }
        return actions
    }
}
