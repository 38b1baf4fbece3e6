import Logging

/// Takes one connection's messages, and counts what is none.
struct ZMTPReceiver {
    /// What a message was.
    enum Verdict { case delivered, otherType, malformed }

    let counters: NotificationCounters
    let logger: Logger
    /// Reads a message of one frame and passes it on.
    let onMessage: ([UInt8]) -> Verdict

    /// Takes what happened on the connection.
    func receive(_ event: ZMTPHandler.Event) {
        switch event {
        case .message(let body):
            switch onMessage(body) {
            case .delivered: counters.countNotification()
            case .otherType:
                counters.countOtherMessage()
                logger.debug("ignored a message of another type")
            case .malformed:
                counters.countMalformed()
                logger.debug("ignored a malformed message", metadata: ["disagg.bytes": "\(body.count)"])
            }
        case .multipart:
            counters.countMalformed()
            logger.debug("ignored a message of several frames")
        case .failed(let error):
            counters.countProtocolError()
            logger.debug("closed a connection", metadata: ["disagg.reason": "\(error)"])
        case .established, .closed: break
        }
    }
}
