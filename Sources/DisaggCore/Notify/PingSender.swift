package import NIOCore

/// A MoRIIO or P2pNccl engine's end of the registration channel, for simulated engines: a ZeroMQ `DEALER` socket that
/// connects and sends the same message again and again.
package final class PingSender: Sendable {
    /// How often the engines ping.
    package static let defaultInterval = Duration.seconds(3)

    private let eventLoop: any EventLoop
    private let link: NIOLoopBoundBox<NotificationLink>
    private let timer: NIOLoopBoundBox<RepeatedTask?>

    /// - Parameters:
    ///   - endpoint: where the proxy listens.
    ///   - group: event loops of NIOPosix; the sender lives on one of them.
    package init(to endpoint: Endpoint, group: any EventLoopGroup) {
        let eventLoop = group.next()
        self.eventLoop = eventLoop
        link = NIOLoopBoundBox.makeBoxSendingValue(
            NotificationLink(local: .dealer, host: endpoint.host, port: endpoint.port, eventLoop: eventLoop),
            eventLoop: eventLoop)
        timer = NIOLoopBoundBox.makeBoxSendingValue(nil, eventLoop: eventLoop)
    }

    /// Begins to ping, at once and then in this interval.
    package func start(_ registration: EngineRegistration, every interval: Duration = PingSender.defaultInterval) {
        let message = ZMTP.message(registration.encoded)
        let (link, timer, eventLoop) = (link, timer, eventLoop)
        eventLoop.execute {
            timer.value?.cancel()
            timer.value = eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: TimeAmount(interval)) { _ in
                _ = link.value.enqueue(message)
            }
        }
    }

    /// Stops pinging and closes the connection.
    package func shutdown() async {
        let done = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            self.timer.value?.cancel()
            self.link.value.shutDown(done)
        }
        try? await done.futureResult.get()
    }
}
