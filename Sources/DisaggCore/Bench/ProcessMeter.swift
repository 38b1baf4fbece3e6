internal import NIOPosix
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Measures processes while a benchmark runs.
final class ProcessMeter: Sendable {
    /// Ticks of the session between two looks.
    private static let ticksBetween = 5

    private struct State {
        var first: ProcessUsage?
        /// The newest value of each thread; those that have ended keep their last one.
        var threads: [ProcessUsage.Thread: Int] = [:]
        var userTicks: [Int32: Int] = [:]
        var systemTicks: [Int32: Int] = [:]
        var peakRSS = 0
        var peakPSS: Int?
        /// The look with the most requests open.
        var fullest: (open: Int, pssKiB: Int)?
        var ticks = 0
        var isLooking = false
    }

    private let processes: [Int32]
    private let state = Mutex(State())

    init(_ processes: [Int32]) { self.processes = processes }

    /// Takes what there is before the load as the zero.
    func begin() {
        let usage = ProcessUsage.look(at: processes)
        state.withLock { state in
            state = State()
            state.first = usage
            Self.add(usage, open: 0, to: &state)
        }
    }

    /// Looks now and then, on another thread: summing up a large process's pages takes milliseconds.
    func tick(openRequests: Int) {
        let isDue = state.withLock { state -> Bool in
            guard state.first != nil else { return false }
            state.ticks += 1
            guard state.ticks % Self.ticksBetween == 0, !state.isLooking else { return false }
            state.isLooking = true
            return true
        }
        guard isDue else { return }
        NIOThreadPool.singleton.submit { [self] _ in
            let usage = ProcessUsage.look(at: processes)
            state.withLock { state in
                state.isLooking = false
                Self.add(usage, open: openRequests, to: &state)
            }
        }
    }

    /// Takes the last values.
    func end() {
        let usage = ProcessUsage.look(at: processes)
        state.withLock { Self.add(usage, open: 0, to: &$0) }
    }

    private static func add(_ usage: ProcessUsage, open: Int, to state: inout State) {
        // Looks may overtake each other.
        state.threads.merge(usage.threads) { max($0, $1) }
        state.userTicks.merge(usage.userTicks) { max($0, $1) }
        state.systemTicks.merge(usage.systemTicks) { max($0, $1) }
        state.peakRSS = max(state.peakRSS, usage.rssKiB)
        guard let pss = usage.pssKiB else { return }
        state.peakPSS = max(state.peakPSS ?? 0, pss)
        if open > 0, (open, pss) > (state.fullest?.open ?? 0, state.fullest?.pssKiB ?? 0) {
            state.fullest = (open, pss)
        }
    }

    /// What was used since ``begin()``; nil before it.
    var result: BenchMeasurement.Process? {
        state.withLock { state in
            guard let first = state.first else { return nil }
            func seconds(_ ticks: [Int32: Int], _ before: [Int32: Int]) -> Double {
                let sum = ticks.reduce(0) { $0 + $1.value - (before[$1.key] ?? 0) }
                return Double(sum) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
            }
            let nanoseconds = state.threads.reduce(0) { $0 + $1.value - (first.threads[$1.key] ?? 0) }
            let user = seconds(state.userTicks, first.userTicks)
            let system = seconds(state.systemTicks, first.systemTicks)
            var result = BenchMeasurement.Process(
                cpuSeconds: state.threads.isEmpty ? user + system : Double(nanoseconds) / 1e9, userSeconds: user,
                systemSeconds: system, peakRSSKiB: state.peakRSS, basePSSKiB: first.pssKiB, peakPSSKiB: state.peakPSS)
            if let fullest = state.fullest, let base = first.pssKiB {
                result.kibibytesPerRequest = Double(fullest.pssKiB - base) / Double(fullest.open)
            }
            return result
        }
    }
}
