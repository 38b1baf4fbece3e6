internal import Logging
internal import NIOCore
internal import NIOPosix

/// The event loops of one proxy and the notification socket that serves them all.
final class ProxyCore: Sendable {
    let shared: ProxyShared
    let reactors: [Reactor]
    let loops: [NIOLoopBound<LoopContext>]
    /// Changes the pool's membership.
    let controller: PoolController
    /// When the proxy was made.
    let started = NIODeadline.now()
    /// Nil where requests are not logged.
    let accessLog: AccessLogFile?
    private let discovery: Discovery
    /// Nil where engines do not report themselves.
    private let registrations: Registrations?
    /// How often an embedding application's metrics backend hears of the counters.
    private static let publishInterval = Duration.seconds(1)
    /// Where the notification socket lives; nil where the hand-off has none.
    private let notifyGroup: MultiThreadedEventLoopGroup?
    private let notifications: NotificationListener?
    private let monitor: BackendMonitor

    init(deployment: Deployment, logger: Logger) throws {
        let shared = ProxyShared(deployment: deployment, logger: logger)
        self.shared = shared
        accessLog = try deployment.proxy.accessLog.path.map { try AccessLogFile(path: $0, logger: logger) }
        controller = PoolController(pool: shared.pool, handoff: deployment.handoff, logger: logger)
        discovery = Discovery(deployment: deployment, controller: controller, logger: logger)
        registrations = deployment.discovery.pings.map { [controller] in
            Registrations($0, deployment: deployment, controller: controller, logger: logger)
        }
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
        let accessLog = accessLog
        for (loop, reactor) in zip(loops, reactors) {
            try reactor.submit {
                loop.value.collectMetrics = { Self.collectMetrics(loops, reactors, accessLog, on: reactor) }
                loop.value.accessLog = accessLog.map {
                    AccessLog(file: $0, format: deployment.proxy.accessLog.format)
                }
            }.wait()
        }
    }

    private static func collectMetrics(
        _ loops: [NIOLoopBound<LoopContext>], _ reactors: [Reactor], _ accessLog: AccessLogFile?, on reactor: Reactor
    ) -> EventLoopFuture<ProxyMetrics> {
        let parts = zip(loops, reactors).map { loop, reactor in reactor.submit { loop.value.metrics } }
        var start = ProxyMetrics()
        start.accessLinesDropped = accessLog?.dropped ?? 0
        return EventLoopFuture.reduce(into: start, parts, on: reactor) { $0.add($1) }
    }

    // MARK: The control plane

    /// Finds engines, and tells an embedding application's metrics backend of the counters, until it is cancelled.
    func runControlPlane() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.discovery.run() }
            if let registrations = self.registrations { group.addTask { await registrations.run() } }
            group.addTask { await self.controller.watchRestarts() }
            if let bridge = MetricsBridge.bootstrapped {
                group.addTask {
                    while let families = try? await self.metricFamilies() {
                        bridge.publish(families)
                        do { try await Task.sleep(for: Self.publishInterval) } catch { break }
                    }
                    bridge.withdraw()
                }
            }
        }
        await controller.stop()
    }

    /// All loops' counters together.
    func metrics() async throws -> ProxyMetrics {
        try await Self.collectMetrics(loops, reactors, accessLog, on: reactors[0]).get()
    }

    /// All metrics with their names.
    func metricFamilies() async throws -> [MetricFamily] {
        try await metrics().families(
            pool: shared.pool, handoff: shared.deployment.handoff, at: .now())
    }

    /// The last requests of all loops, newest first.
    func recentRequests(_ count: Int) async -> [RequestRecord] {
        let all = (try? await forEachLoop { $0.decisions.newestFirst }) ?? []
        return Array(all.joined().sorted { $0.endedAt > $1.endedAt }.prefix(count))
    }

    /// Lets requests from now on have other time limits.
    func use(_ settings: ProxySettings) async { _ = try? await forEachLoop { $0.settings = settings } }

    /// Starts timers and the notification socket.
    ///
    /// - Returns: the port of the notification socket, nil where the hand-off has none.
    func start() async throws -> Int? {
        _ = try await forEachLoop { $0.start() }
        _ = try await registrations?.start()
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
        let patience = (try? await forEachLoop { $0.settings.drainTimeout })?.first
        let deadline = ContinuousClock.now + (patience ?? shared.deployment.proxy.drainTimeout)
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
        await accessLog?.finish()
        await monitor.stop()
        await notifications?.shutdown()
        try? await notifyGroup?.shutdownGracefully()
        for reactor in reactors { await reactor.stop() }
    }
}
