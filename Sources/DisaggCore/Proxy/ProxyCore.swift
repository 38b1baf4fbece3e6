internal import Logging
internal import NIOCore
internal import NIOPosix

/// The event loops of one proxy and the notification socket that serves them all.
final class ProxyCore: Sendable {
    let shared: ProxyShared
    let eventLoops: [any EventLoop]
    let loops: [NIOLoopBound<LoopContext>]
    private let ownedGroup: MultiThreadedEventLoopGroup?
    private let notifications: NotificationListener?

    init(deployment: Deployment, group: (any EventLoopGroup)?, logger: Logger) throws {
        let shared = ProxyShared(deployment: deployment, logger: logger)
        self.shared = shared
        ownedGroup =
            group == nil
            ? MultiThreadedEventLoopGroup(numberOfThreads: deployment.proxy.threads ?? System.coreCount) : nil
        guard let used: any EventLoopGroup = group ?? ownedGroup else {
            throw DisaggError(.unavailable, "no event loops")
        }
        let eventLoops = Array(used.makeIterator())
        self.eventLoops = eventLoops
        let loops = try eventLoops.enumerated().map { index, eventLoop in
            try eventLoop.submit {
                NIOLoopBound(LoopContext(eventLoop: eventLoop, index: index, shared: shared), eventLoop: eventLoop)
            }.wait()
        }
        self.loops = loops
        if deployment.handoff == .lmcache, !deployment.backends(.prefill).isEmpty {
            notifications = NotificationListener(endpoint: deployment.proxy.notify, group: used, logger: logger) {
                notification in
                // An id that is none of ours names no loop; the first one counts it.
                let named = RequestID.loop(of: notification.requestID) ?? 0
                let index = named < loops.count ? named : 0
                let loop = loops[index]
                eventLoops[index].execute {
                    loop.value.noticeArrived(notification.requestID, connection: notification.connection)
                }
            }
        } else {
            notifications = nil
        }
        for (loop, eventLoop) in zip(loops, eventLoops) {
            try eventLoop.submit {
                loop.value.collectMetrics = { Self.collectMetrics(loops, eventLoops, on: eventLoop) }
            }.wait()
        }
    }

    private static func collectMetrics(
        _ loops: [NIOLoopBound<LoopContext>], _ eventLoops: [any EventLoop], on eventLoop: any EventLoop
    ) -> EventLoopFuture<ProxyMetrics> {
        let parts = zip(loops, eventLoops).map { loop, eventLoop in eventLoop.submit { loop.value.metrics } }
        return EventLoopFuture.reduce(into: ProxyMetrics(), parts, on: eventLoop) { $0.add($1) }
    }

    /// Starts timers and the notification socket.
    ///
    /// - Returns: the port of the notification socket, nil where the hand-off has none.
    func start() async throws -> Int? {
        _ = try await forEachLoop { $0.start() }
        return try await notifications?.start()
    }

    /// Runs a closure on every loop, one after another.
    func forEachLoop<Value: Sendable>(_ body: @escaping @Sendable (LoopContext) -> Value) async throws -> [Value] {
        var values: [Value] = []
        for (loop, eventLoop) in zip(loops, eventLoops) {
            values.append(try await eventLoop.submit { body(loop.value) }.get())
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
        await notifications?.shutdown()
        try? await ownedGroup?.shutdownGracefully()
    }
}
