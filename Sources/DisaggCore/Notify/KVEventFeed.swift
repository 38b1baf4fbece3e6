package import Logging
internal import NIOCore
internal import NIOPosix

/// The subscriptions to all engines of a role that publish KV events, on a thread of their own. It follows the role's
/// members: one that is added later is subscribed to, and what was known of one that left is forgotten.
package final class KVEventFeed: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let eventLoop: any EventLoop
    private let subscriptions: NIOLoopBound<Subscriptions>

    private final class Subscriptions {
        let index: KVEventIndex
        let eventLoop: any EventLoop
        let logger: Logger
        var bySerial: [Int: KVEventSubscription] = [:]

        init(index: KVEventIndex, eventLoop: any EventLoop, logger: Logger) {
            self.index = index
            self.eventLoop = eventLoop
            self.logger = logger
        }

        /// Ends what is not wanted any more, and begins what is new. A member is never changed, so its serial tells all.
        func follow(_ members: [(serial: Int, backend: String, events: KVEventAddress)]) {
            let wanted = Set(members.map(\.serial))
            for (serial, subscription) in bySerial where !wanted.contains(serial) {
                subscription.stop()
                bySerial[serial] = nil
            }
            for member in members where bySerial[member.serial] == nil {
                let subscription = KVEventSubscription(
                    backend: member.backend, serial: member.serial, events: member.events.publishes,
                    replay: member.events.replays, index: index, eventLoop: eventLoop, logger: logger)
                bySerial[member.serial] = subscription
                subscription.start()
            }
        }
    }

    /// Creates a feed that follows nobody.
    package init(index: KVEventIndex, logger: Logger) throws {
        let eventLoop = group.next()
        self.eventLoop = eventLoop
        subscriptions = try eventLoop.submit {
            NIOLoopBound(
                Subscriptions(index: index, eventLoop: eventLoop, logger: logger), eventLoop: eventLoop)
        }.wait()
    }

    /// Follows these members from now on, and no others.
    package func follow(_ members: [BackendState]) {
        let sources = members.compactMap { state in
            state.backend.kvEvents.map { (state.meter.serial, state.backend.id, $0) }
        }
        eventLoop.execute { [subscriptions] in subscriptions.value.follow(sources) }
    }

    /// Ends all subscriptions.
    package func stop() async {
        _ = try? await eventLoop.submit { [subscriptions] in subscriptions.value.follow([]) }.get()
        try? await group.shutdownGracefully()
    }
}
