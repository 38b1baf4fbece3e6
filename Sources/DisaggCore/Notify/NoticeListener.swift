/// A socket on which engines tell that a request's KV cache is stored.
package protocol NoticeListener: Sendable {
    /// Binds and accepts from then on; returns the port, the chosen one where 0 was asked for.
    func start() async throws -> Int
    /// Stops listening; returns when all connections are closed.
    func shutdown() async
}

extension NotificationListener: NoticeListener {}
extension TelemetryListener: NoticeListener {}
