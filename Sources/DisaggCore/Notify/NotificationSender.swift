package import NIOCore
import Synchronization

/// An LMCache prefill rank's end of the notification channel, for simulated engines: a ZeroMQ `PUSH` socket with default
/// options that connects.
///
/// As ZeroMQ's it connects when first used, keeps what cannot be sent yet, tries again for ever after 100 to 200 ms
/// (`ZMQ_RECONNECT_IVL` plus jitter), and sends in order. Unlike ZeroMQ's it never blocks: beyond
/// ``maximumQueued`` notifications (`ZMQ_SNDHWM`) the newest are dropped and counted. A notification leaves the queue
/// when the kernel took all its bytes, so one that met a broken connection is sent again on the next.
package final class NotificationSender: Sendable {
    /// Most notifications that wait (libzmq's default high-water mark).
    package static let maximumQueued = 1000

    private let link: NIOLoopBoundBox<NotificationLink>
    private let eventLoop: any EventLoop
    private let droppedCount = Atomic<Int>(0)

    /// Creates a sender that connects with its first notification.
    ///
    /// - Parameters:
    ///   - host: the listener's name or address; `localhost` is 127.0.0.1, as for ZeroMQ.
    ///   - port: the listener's port.
    ///   - group: event loops of NIOPosix; the sender lives on one of them.
    package init(host: String, port: Int, group: any EventLoopGroup) {
        let eventLoop = group.next()
        self.eventLoop = eventLoop
        self.link = NIOLoopBoundBox.makeBoxSendingValue(
            NotificationLink(local: .push, host: host, port: port, eventLoop: eventLoop),
            eventLoop: eventLoop)
    }

    /// Notifications that were dropped because ``maximumQueued`` others waited, or after ``shutdown()``.
    package var dropped: Int { droppedCount.load(ordering: .relaxed) }

    /// Queues a notification; returns at once. Callable from anywhere.
    package func send(requestID: String) {
        let message = ZMTP.message(ProxyNotif(requestID: requestID).encoded)
        eventLoop.execute {
            if !self.link.value.enqueue(message) { self.droppedCount.wrappingAdd(1, ordering: .relaxed) }
        }
    }

    /// Closes the connection; what waits has one second to be sent, connected or not. Returns when all is closed.
    package func shutdown() async {
        let done = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { self.link.value.shutDown(done) }
        try? await done.futureResult.get()
    }
}
