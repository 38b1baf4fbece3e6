package import Logging
internal import NIOCore
internal import NIOPosix

/// The subscriptions to all engines of a deployment that publish KV events, on a thread of their own.
package final class KVEventFeed: Sendable {
    /// One engine.
    package struct Source: Sendable {
        package var backend: String
        package var serial: Int
        package var events: Endpoint
        package var replay: Endpoint?

        package init(backend: String, serial: Int, events: Endpoint, replay: Endpoint?) {
            self.backend = backend
            self.serial = serial
            self.events = events
            self.replay = replay
        }
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let subscriptions: NIOLoopBound<[KVEventSubscription]>
    private let eventLoop: any EventLoop

    /// Creates the subscriptions; ``start()`` connects them.
    package init(_ sources: [Source], index: KVEventIndex, logger: Logger) throws {
        let eventLoop = group.next()
        self.eventLoop = eventLoop
        subscriptions = try eventLoop.submit {
            NIOLoopBound(
                sources.map {
                    KVEventSubscription(
                        backend: $0.backend, serial: $0.serial, events: $0.events, replay: $0.replay, index: index,
                        eventLoop: eventLoop, logger: logger)
                }, eventLoop: eventLoop)
        }.wait()
    }

    /// Connects.
    package func start() async {
        _ = try? await eventLoop.submit { [subscriptions] in
            for subscription in subscriptions.value { subscription.start() }
        }.get()
    }

    /// Ends all subscriptions.
    package func stop() async {
        _ = try? await eventLoop.submit { [subscriptions] in
            for subscription in subscriptions.value { subscription.stop() }
        }.get()
        try? await group.shutdownGracefully()
    }
}
