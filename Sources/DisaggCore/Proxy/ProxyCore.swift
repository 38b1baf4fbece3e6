internal import Logging
internal import NIOCore

/// The event loops of one proxy and the place where engines report, which serves them all.
final class ProxyCore: Sendable {
    let shared: ProxyShared
    let reactors: [Reactor]
    let loops: [NIOLoopBound<LoopContext>]
    /// Where engines report; nil where the hand-off has no such place.
    private let reports: EngineReports?

    init(deployment: Deployment, logger: Logger) throws {
        let shared = ProxyShared(deployment: deployment, logger: logger)
        self.shared = shared
        let reactors = try (0..<(deployment.proxy.threads ?? System.coreCount)).map {
            try Reactor(name: "disagg-\($0)")
        }
        self.reactors = reactors
        let loops = try reactors.enumerated().map { index, reactor in
            try reactor.submit {
                NIOLoopBound(LoopContext(reactor: reactor, index: index, shared: shared), eventLoop: reactor)
            }.wait()
        }
        self.loops = loops
        reports = EngineReports(deployment, loops: loops, reactors: reactors, logger: logger)
        for (loop, reactor) in zip(loops, reactors) {
            try reactor.submit {
                loop.value.collectMetrics = { Self.collectMetrics(loops, reactors, on: reactor) }
            }.wait()
        }
    }

    private static func collectMetrics(
        _ loops: [NIOLoopBound<LoopContext>], _ reactors: [Reactor], on reactor: Reactor
    ) -> EventLoopFuture<ProxyMetrics> {
        let parts = zip(loops, reactors).map { loop, reactor in reactor.submit { loop.value.metrics } }
        return EventLoopFuture.reduce(into: ProxyMetrics(), parts, on: reactor) { $0.add($1) }
    }

    /// Starts timers and the place where engines report.
    ///
    /// - Returns: its port, nil where the hand-off has none.
    func start() async throws -> Int? {
        _ = try await forEachLoop { $0.start() }
        return try await reports?.start()
    }

    /// Runs a closure on every loop, one after another.
    func forEachLoop<Value: Sendable>(_ body: @escaping @Sendable (LoopContext) -> Value) async throws -> [Value] {
        var values: [Value] = []
        for (loop, reactor) in zip(loops, reactors) {
            values.append(try await reactor.submit { body(loop.value) }.get())
        }
        return values
    }

    /// Lets requests under way end, then ends the rest.
    func drain() async {
        _ = try? await forEachLoop { $0.drain() }
        let deadline = ContinuousClock.now + shared.deployment.proxy.drainTimeout
        while ContinuousClock.now < deadline {
            let idle = (try? await forEachLoop { $0.isIdle }) ?? []
            if idle.allSatisfy({ $0 }) { break }
            // Cancelled instead of shut down gracefully: nothing is waited for.
            do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
        }
    }

    /// Ends everything; the core cannot be used after it.
    func shutDown() async {
        _ = try? await forEachLoop { $0.shutDown() }
        await reports?.shutdown()
        for reactor in reactors { await reactor.stop() }
    }
}
