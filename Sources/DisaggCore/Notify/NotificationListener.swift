package import Logging
package import NIOCore

/// A prefill rank's word that it has stored a request's KV cache on the decoder.
package struct Notification: Sendable, Hashable {
    /// The `disagg_spec.req_id` of the prefill request, as the rank sent it: it may be unknown, late or repeated.
    package var requestID: String
    /// The accepted connection it came on, never reused. Each rank has a connection of its own, so two notifications
    /// of one request on one connection are a duplicate, and on two connections two ranks.
    package var connection: UInt64

    /// Creates a notification.
    package init(requestID: String, connection: UInt64) {
        self.requestID = requestID
        self.connection = connection
    }
}

/// The proxy's end of LMCache's notification channel: a ZeroMQ `PULL` socket that binds, spoken by NIO.
///
/// | peer does                              | listener does                                          |
/// |----------------------------------------|--------------------------------------------------------|
/// | sends a `ProxyNotif`                   | calls `onNotification`                                 |
/// | sends another LMCache message          | ignores and counts it                                  |
/// | sends a message that is none           | counts it, logs at debug, keeps the connection         |
/// | sends several frames as one message    | drops them, counts the message as malformed            |
/// | breaks ZMTP, closes inside a frame     | counts it, closes the connection                       |
/// | does not finish its handshake in 10 s  | counts it, closes the connection                       |
/// | is the 4097th connection               | is closed at once                                      |
///
/// Source: LMCache 0.5.6 `pd_backend.py` 41 and 67; its senders are `PUSH` sockets with default options.
package final class NotificationListener: Sendable {
    /// Most connections at a time. Each prefill rank holds one.
    package static let defaultMaximumConnections = PeerListener.defaultMaximumConnections

    private let listener: PeerListener

    /// What has happened so far; readable from anywhere without a lock.
    package var counters: NotificationCounters { listener.counters }

    /// Creates a listener; ``start()`` opens it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen: `localhost`, `*`, an address or name of this machine; port 0 for any free one.
    ///   - group: event loops of NIOPosix; connections are spread over them.
    ///   - maximumConnections: connections beyond this are closed at once.
    ///   - logger: gets a line at debug for what was ignored.
    ///   - onNotification: called on the connection's event loop, in the order of each connection; must not block.
    package init(
        endpoint: Endpoint,
        group: any EventLoopGroup,
        maximumConnections: Int = NotificationListener.defaultMaximumConnections,
        logger: Logger,
        onNotification: @escaping @Sendable (Notification) -> Void
    ) {
        let counters = NotificationCounters()
        listener = PeerListener(
            endpoint: endpoint, group: group, maximumConnections: maximumConnections, logger: logger,
            counters: counters
        ) { channel, connection in
            var logger = logger
            logger[metadataKey: "disagg.connection"] = "\(connection)"
            let receiver = ZMTPReceiver(counters: counters, logger: logger) { body in
                switch ProxyNotif.decode(body) {
                case .notification(let notif):
                    onNotification(Notification(requestID: notif.requestID, connection: connection))
                    return .delivered
                case .otherType: return .otherType
                case .malformed: return .malformed
                }
            }
            try channel.pipeline.syncOperations.addHandler(ZMTPHandler(local: .pull, onEvent: receiver.receive))
        }
    }

    /// Binds every address of the endpoint's host with one port and accepts peers from then on.
    ///
    /// - Returns: the port, the chosen one where the endpoint's is 0.
    /// - Throws: ``NotifyError``; nothing is left open then, and `start` may be tried again.
    package func start() async throws -> Int { try await listener.start() }

    /// Stops accepting and closes every connection; returns when all are closed. Calling it again does nothing.
    package func shutdown() async { await listener.shutdown() }
}
