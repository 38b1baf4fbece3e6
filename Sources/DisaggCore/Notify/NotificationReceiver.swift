import Logging

/// Turns one connection's messages into notifications, and counts what is none.
struct NotificationReceiver {
    let connection: UInt64
    let counters: NotificationCounters
    let logger: Logger
    let onNotification: @Sendable (Notification) -> Void

    /// Takes what happened on the connection.
    func receive(_ event: ZMTPHandler.Event) {
        switch event {
        case .message(let body): receive(message: body)
        case .multipart:
            counters.countMalformed()
            logger.debug("ignored a notification of several frames")
        case .failed(let error):
            counters.countProtocolError()
            logger.debug("closed a notification connection", metadata: ["disagg.reason": "\(error)"])
        case .established, .closed: break
        }
    }

    private func receive(message body: [UInt8]) {
        switch ProxyNotif.decode(body) {
        case .notification(let notif):
            counters.countNotification()
            onNotification(Notification(requestID: notif.requestID, connection: connection))
        case .otherType:
            counters.countOtherMessage()
            logger.debug("ignored a message that is no ProxyNotif")
        case .malformed:
            counters.countMalformed()
            logger.debug("ignored a malformed notification", metadata: ["disagg.bytes": "\(body.count)"])
        }
    }
}
