import Synchronization

/// What a notification listener has seen since it was created. Each number is exact; together they are no snapshot.
package final class NotificationCounters: Sendable {
    private let connections = Atomic<UInt64>(0)
    private let refusals = Atomic<Int>(0)
    private let notificationCount = Atomic<Int>(0)
    private let otherTypeCount = Atomic<Int>(0)
    private let malformedCount = Atomic<Int>(0)
    private let protocolErrorCount = Atomic<Int>(0)

    init() {}

    /// Connections that were accepted, those among them that were closed at once included.
    package var acceptedConnections: Int { Int(clamping: connections.load(ordering: .relaxed)) }
    /// Connections that were closed at once: too many, or the listener was shutting down.
    package var refusedConnections: Int { refusals.load(ordering: .relaxed) }
    /// Notifications delivered.
    package var notifications: Int { notificationCount.load(ordering: .relaxed) }
    /// Well-formed messages of another type, ignored.
    package var otherMessages: Int { otherTypeCount.load(ordering: .relaxed) }
    /// Messages in good frames that are no notification: not MessagePack, wrong fields, or several frames.
    package var malformedMessages: Int { malformedCount.load(ordering: .relaxed) }
    /// Connections that broke ZMTP, ended inside a frame, or did not finish their handshake in time.
    package var protocolErrors: Int { protocolErrorCount.load(ordering: .relaxed) }

    /// Counts a connection and names it; the first is 1.
    func nextConnection() -> UInt64 { connections.wrappingAdd(1, ordering: .relaxed).newValue }
    func refuse() { refusals.wrappingAdd(1, ordering: .relaxed) }
    func countNotification() { notificationCount.wrappingAdd(1, ordering: .relaxed) }
    func countOtherMessage() { otherTypeCount.wrappingAdd(1, ordering: .relaxed) }
    func countMalformed() { malformedCount.wrappingAdd(1, ordering: .relaxed) }
    func countProtocolError() { protocolErrorCount.wrappingAdd(1, ordering: .relaxed) }
}
