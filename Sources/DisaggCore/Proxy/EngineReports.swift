internal import Logging
internal import NIOCore
internal import NIOPosix

/// Where engines report to the proxy: LMCache's notifications or telemetry, or the pings of engines that register themselves.
///
/// It has an event loop of its own and hands everything to the loop it is for.
final class EngineReports: Sendable {
    private enum Listener: Sendable {
        case notifications(NotificationListener)
        case telemetry(TelemetryListener)
        case registrations(RegistrationListener)
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let listener: Listener

    /// Creates the listener that the deployment's hand-off needs; nil where it needs none.
    ///
    /// - Parameter registered: hears of the engines that report themselves.
    init?(
        _ deployment: Deployment, loops: [NIOLoopBound<LoopContext>], reactors: [Reactor], logger: Logger,
        registered: @escaping @Sendable ([EngineRegistration]) -> Void
    ) {
        guard !deployment.backends(.prefill).isEmpty || deployment.discovery.pings else { return nil }
        let wanted = HandoffKind.makeProtocol(deployment).transferMode
        let endpoint = deployment.proxy.notify
        let notice: @Sendable (Notification) -> Void = { notification in
            // An id that is none of ours names no loop; the first one counts it.
            let named = RequestID.loop(of: notification.requestID) ?? 0
            let index = named < loops.count ? named : 0
            let loop = loops[index]
            reactors[index].execute {
                loop.value.noticeArrived(notification.requestID, connection: notification.connection)
            }
        }
        switch deployment.handoff {
        case .lmcache:
            listener = .notifications(
                NotificationListener(endpoint: endpoint, group: group, logger: logger, onNotification: notice))
        case .lmcacheMP:
            listener = .telemetry(
                TelemetryListener(endpoint: endpoint, group: group, logger: logger, onNotification: notice))
        case .moriio, .p2pNCCL:
            listener = .registrations(
                RegistrationListener(
                    endpoint: endpoint, group: group, expiry: deployment.discovery.pingTimeout, logger: logger
                ) { registrations in
                    Self.warn(of: registrations, wanted, logger)
                    for (loop, reactor) in zip(loops, reactors) {
                        reactor.execute { loop.value.facts.registered(registrations) }
                    }
                    registered(registrations)
                })
        default: return nil
        }
    }

    /// Says which engines will not be used; called when an engine came, changed or went.
    private static func warn(of engines: [EngineRegistration], _ wanted: String?, _ logger: Logger) {
        guard let wanted else { return }
        for engine in engines {
            guard let told = engine.transferMode, told != wanted else { continue }
            logger.warning(
                "engine has another transfer_mode than the deployment, it is not used",
                metadata: ["disagg.backend": "\(engine.http)", "disagg.told": "\(told)", "disagg.wanted": "\(wanted)"])
        }
    }

    /// Opens the listener.
    ///
    /// - Returns: its port.
    func start() async throws -> Int {
        switch listener {
        case .notifications(let listener): try await listener.start()
        case .telemetry(let listener): try await listener.start()
        case .registrations(let listener): try await listener.start()
        }
    }

    /// Closes the listener.
    func shutdown() async {
        switch listener {
        case .notifications(let listener): await listener.shutdown()
        case .telemetry(let listener): await listener.shutdown()
        case .registrations(let listener): await listener.shutdown()
        }
        try? await group.shutdownGracefully()
    }
}
