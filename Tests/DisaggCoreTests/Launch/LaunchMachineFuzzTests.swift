import Testing

@testable import DisaggCore

/// Random orders of events against a model of the processes.
@Suite("LaunchMachine under random events")
struct LaunchMachineFuzzTests {
    /// The driver's side: which processes exist, and what they have seen.
    private struct World {
        var machine: LaunchMachine
        var now = Duration.zero
        /// nil: none; false: being started; true: runs.
        var runs: [Bool?]
        /// The present runs of engines that each run of a prefill engine has been ready together with.
        var known: [Set<Int>]
        var finishes = 0
        var problems: [String] = []

        mutating func take(_ actions: [LaunchMachine.Action]) {
            if finishes > 0, !actions.isEmpty { problems.append("\(actions) after the end") }
            for action in actions {
                switch action {
                case .start(let index):
                    if runs[index] != nil { problems.append("\(index) started while it runs") }
                    runs[index] = false
                    known[index] = []
                    for follower in known.indices where known[follower].contains(index) {
                        if machine.processes[follower] == .ready {
                            problems.append("\(index) started beside \(follower), which knew its predecessor")
                        }
                    }
                case .terminate(let index), .kill(let index), .retire(let index):
                    if runs[index] != true { problems.append("a signal to \(index), which does not run") }
                case .finish:
                    finishes += 1
                    if runs.contains(where: { $0 != nil }) { problems.append("finished with processes left") }
                default: break
                }
            }
            for follower in known.indices where machine.processes[follower] == .ready {
                known[follower].formUnion(machine.members[follower].follows.filter { machine.processes[$0] == .ready })
            }
        }
    }

    @Test("any order ends in one finish with nothing left, and starts nothing twice or beside one that knew it before")
    func randomEvents() {
        let first = UInt64.random(in: .min ... .max)
        for seed in (0..<UInt64(Fuzzing.iterations(1000))).map({ first &+ $0 }) {
            var random = SeededGenerator(seed: seed)
            let decoders = Int.random(in: 1...2, using: &random)
            let prefills = Int.random(in: 1...2, using: &random)
            var members = [LaunchMachine.Member(role: "proxy")]
            members += (0..<decoders).map { _ in .init(role: "decode") }
            members += (0..<prefills).map { _ in .init(role: "prefill", follows: Array(1...decoders)) }
            var policy = RestartPolicy()
            policy.maximumRestarts = Int.random(in: 0...4, using: &random)
            let count = members.count
            var world = World(
                machine: LaunchMachine(members, policy: policy), runs: Array(repeating: nil, count: count),
                known: Array(repeating: [], count: count))
            world.take(world.machine.begin())
            for _ in 0..<120 {
                world.now = world.now + .seconds(Int.random(in: 0...20, using: &random))
                let index = Int.random(in: 0..<count, using: &random)
                switch Int.random(in: 0..<24, using: &random) {
                case 0..<6 where world.runs[index] == false:
                    world.runs[index] = true
                    world.take(world.machine.started(index))
                case 6..<12 where world.runs[index] == true: world.take(world.machine.ready(index, at: world.now))
                case 12..<15 where world.runs[index] == true:
                    world.runs[index] = nil
                    world.take(
                        world.machine.exited(
                            index, .status(1), isPermanent: Bool.random(using: &random), at: world.now))
                case 15, 16: world.take(world.machine.proven())
                case 17: world.take(world.machine.notProven("x"))
                case 18, 19: world.take(world.machine.restartDue(index))
                case 20 where world.runs[index] == true: world.take(world.machine.faulty(index, "x"))
                case 21 where world.runs[index] == false:
                    world.runs[index] = nil
                    world.take(world.machine.couldNotStart(index, "x"))
                case 22 where Int.random(in: 0..<8, using: &random) == 0: world.take(world.machine.stopRequested())
                case 23: world.take(world.machine.timerFired([.ready, .drain, .grace][Int(random.next() % 3)]))
                default: break
                }
            }
            world.take(world.machine.stopRequested())
            world.take(world.machine.stopRequested())
            for index in 0..<count where world.runs[index] == false {
                world.runs[index] = true
                world.take(world.machine.started(index))
            }
            for index in 0..<count where world.runs[index] == true {
                world.runs[index] = nil
                world.take(world.machine.exited(index, .signal(9), at: world.now))
            }
            #expect(world.problems.isEmpty, "seed \(seed)")
            #expect(world.finishes == 1, "seed \(seed)")
        }
    }
}
