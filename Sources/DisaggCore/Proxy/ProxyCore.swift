internal import Logging
internal import NIOCore
internal import NIOPosix

/// The event loops of one proxy and the notification socket that serves them all.
final class ProxyCore: Sendable {
    let shared: ProxyShared
    let reactors: [Reactor]
    let loops: [NIOLoopBound<LoopContext>]
    /// Where the notification socket lives; nil where the hand-off has none.
    private let notifyGroup: MultiThreadedEventLoopGroup?
    private let notifications: NotificationListener?
    private let monitor: BackendMonitor

    init(deployment: Deployment, logger: Logger) throws {
        let shared = ProxyShared(deployment: deployment, logger: logger)
        self.shared = shared
        monitor = try BackendMonitor(pool: shared.pool, admission: shared.admission, logger: logger)
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
        if deployment.handoff == .lmcache, !deployment.backends(.prefill).isEmpty {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            notifyGroup = group
            notifications = NotificationListener(endpoint: deployment.proxy.notify, group: group, logger: logger) {
                notification in
                // An id that is none of ours names no loop; the first one counts it.
                let named = RequestID.loop(of: notification.requestID) ?? 0
                let index = named < loops.count ? named : 0
                let loop = loops[index]
                reactors[index].execute {
                    loop.value.noticeArrived(notification.requestID, connection: notification.connection)
                }
            }
        } else {
            notifyGroup = nil
            notifications = nil
        }
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

    /// Starts timers and the notification socket.
    ///
    /// - Returns: the port of the notification socket, nil where the hand-off has none.
    func start() async throws -> Int? {
        _ = try await forEachLoop { $0.start() }
        await monitor.start()
        return try await notifications?.start()
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
        await monitor.stop()
        await notifications?.shutdown()
        try? await notifyGroup?.shutdownGracefully()
        for reactor in reactors { await reactor.stop() }
    }
}
