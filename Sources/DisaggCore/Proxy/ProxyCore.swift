internal import Logging
internal import NIOCore

/// The event loops of one proxy and the place where engines report, which serves them all.
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
    /// Where engines report; nil where the hand-off has no such place.
    private let reports: EngineReports?
    private let monitor: BackendMonitor
    /// The engines' KV events by role; empty where no policy follows them.
    private let feeds: [BackendRole: KVEventFeed]

    init(deployment: Deployment, policies: PolicySet? = nil, logger: Logger) throws {
        let shared = ProxyShared(deployment: deployment, policies: policies, logger: logger)
        self.shared = shared
        accessLog = try deployment.proxy.accessLog.path.map { try AccessLogFile(path: $0, logger: logger) }
        controller = PoolController(pool: shared.pool, deployment: deployment, logger: logger)
        discovery = Discovery(deployment: deployment, controller: controller, logger: logger)
        let registrations =
            deployment.discovery.pings ? Registrations(deployment: deployment, controller: controller) : nil
        self.registrations = registrations
        let feeds = try Self.feeds(shared.pool.policies, logger)
        self.feeds = feeds
        monitor = try BackendMonitor(pool: shared.pool, admission: shared.admission, logger: logger) { members in
            for (role, feed) in feeds { feed.follow(members.backends(role)) }
        }
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
        reports = EngineReports(deployment, loops: loops, reactors: reactors, logger: logger) {
            registrations?.heard($0)
        }
        let accessLog = accessLog
        for (loop, reactor) in zip(loops, reactors) {
            try reactor.submit {
                loop.value.collectMetrics = {
                    Self.collectMetrics(loops, reactors, accessLog, shared.admission, on: reactor)
                }
                loop.value.accessLog = accessLog.map {
                    AccessLog(file: $0, format: deployment.proxy.accessLog.format)
                }
            }.wait()
        }
    }

    private static func feeds(_ policies: PolicySet, _ logger: Logger) throws -> [BackendRole: KVEventFeed] {
        var feeds: [BackendRole: KVEventFeed] = [:]
        for (role, policy) in [(BackendRole.prefill, policies.prefill), (.decode, policies.decode)] {
            guard let index = (policy as? KVEventsPolicy)?.events else { continue }
            feeds[role] = try KVEventFeed(index: index, logger: logger)
        }
        return feeds
    }

    private static func collectMetrics(
        _ loops: [NIOLoopBound<LoopContext>], _ reactors: [Reactor], _ accessLog: AccessLogFile?,
        _ admission: AdmissionGate,
        on reactor: Reactor
    ) -> EventLoopFuture<ProxyMetrics> {
        let parts = zip(loops, reactors).map { loop, reactor in reactor.submit { loop.value.metrics } }
        var start = ProxyMetrics()
        start.accessLinesDropped = accessLog?.dropped ?? 0
        start.requestsWaiting = admission.count
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
        try await Self.collectMetrics(loops, reactors, accessLog, shared.admission, on: reactors[0]).get()
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

    /// Starts timers and the place where engines report.
    ///
    /// - Returns: its port, nil where the hand-off has none.
    func start() async throws -> Int? {
        _ = try await forEachLoop { $0.start() }
        await monitor.start()
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
        for feed in feeds.values { await feed.stop() }
        await reports?.shutdown()
        for reactor in reactors { await reactor.stop() }
    }
}
