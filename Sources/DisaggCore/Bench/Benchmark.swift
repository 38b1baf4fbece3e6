internal import NIOCore
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Measures an OpenAI-compatible server: sends requests, follows their answers, counts.
///
/// One thread holds all connections, on the event loop of the proxy's data plane.
package struct Benchmark: Sendable {
    package let settings: BenchSettings
    package let control: BenchControl

    /// Checks settings and prepares a run.
    ///
    /// - Parameter progress: called ten times a second, on the loop.
    /// - Throws: ``CommandError`` where the settings contradict each other or name what is not there.
    package init(
        _ settings: BenchSettings, progress: (@Sendable (BenchControl.Progress) -> Void)? = nil
    ) throws(CommandError) {
        try settings.validate()
        for process in settings.processes where !ProcessUsage.exists(process) {
            throw CommandError("--pid: there is no process \(process); is it in another container, or has it ended?")
        }
        self.settings = settings
        control = BenchControl(settings, progress: progress)
    }

    /// Runs the benchmark.
    ///
    /// - Throws: ``CommandError`` with exit status 1 where nothing could be measured.
    package func run() async throws(CommandError) -> BenchMeasurement {
        try Self.raiseDescriptorLimit(for: settings.concurrency ?? 1)
        let reactor: Reactor
        do {
            reactor = try Reactor(name: "bench")
        } catch {
            throw CommandError("no event loop: \(error)", exitStatus: 1)
        }
        let (settings, control) = (settings, control)
        let cpuBefore = Self.cpuSeconds()
        let startedAt = BenchSession.now()
        let outcome = await withCheckedContinuation { continuation in
            reactor.execute {
                let session = BenchSession(settings: settings, reactor: reactor, control: control) {
                    continuation.resume(returning: $0)
                }
                session.start()
            }
        }
        let share = (Self.cpuSeconds() - cpuBefore) / max(1e-9, Double(BenchSession.now() - startedAt) / 1e9)
        await reactor.stop()
        switch outcome {
        case .done(var measurement):
            measurement.generatorCPUShare = share
            return measurement
        case .failed(let error): throw error
        }
    }

    /// A descriptor for each connection, and some for the rest of the process.
    private static func raiseDescriptorLimit(for connections: Int) throws(CommandError) {
        let needed = connections + 64
        // 0 is a limit that cannot be read.
        let allowed = OpenFileLimit.raise()
        guard allowed >= needed || allowed == 0 else {
            throw CommandError(
                "--concurrency \(connections) needs \(needed) open files, this process may have \(allowed); "
                    + "raise the limit with ulimit -Hn, or lower the concurrency")
        }
    }

    private static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
