internal import Logging
internal import NIOCore

/// Watches the backends of a proxy: asks for their health, and for their load where a policy needs it.
///
/// It has a thread and connections of its own, so that a page of metrics delays no token, and a probe shows what a new
/// client would meet.
final class BackendMonitor: Sendable {
    private let reactor: Reactor
    private let watch: NIOLoopBound<BackendWatch>

    /// - Parameter onChange: hears of the members, at first and whenever they change.
    init(
        pool: BackendPool, admission: AdmissionGate, logger: Logger,
        onChange: @escaping @Sendable (PoolSnapshot) -> Void
    ) throws {
        let reactor = try Reactor(name: "disagg-monitor")
        self.reactor = reactor
        watch = try reactor.submit {
            NIOLoopBound(
                BackendWatch(reactor: reactor, pool: pool, admission: admission, logger: logger, onChange: onChange),
                eventLoop: reactor)
        }.wait()
    }

    /// Begins to watch.
    func start() async {
        _ = try? await reactor.submit { [watch] in watch.value.start() }.get()
    }

    /// Ends it; it cannot be started again.
    func stop() async {
        _ = try? await reactor.submit { [watch] in watch.value.stop() }.get()
        await reactor.stop()
    }
}
