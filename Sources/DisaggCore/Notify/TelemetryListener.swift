package import Logging
package import NIOCore
import NIOHTTP1

/// The proxy's end of LMCache's request telemetry: an HTTP endpoint that each worker of an `lmcache-mp` prefill engine tells when
/// a request's KV is stored.
///
/// | peer does                                            | listener does                                            |
/// |------------------------------------------------------|----------------------------------------------------------|
/// | POSTs `request_store_finished` to ``path``           | calls `onNotification` for each id of ours; 200          |
/// | POSTs another event                                  | counts it; 200                                           |
/// | POSTs what is no JSON object with an event           | counts it as malformed; 400                              |
/// | sends a body of more than ``maximumBodyBytes``       | counts it as malformed; 413, closes                      |
/// | asks for another path, or not with POST              | 404, 405                                                 |
/// | is silent for ``idleTimeout``                        | closes                                                   |
///
/// Source: LMCache 0.5.6 `vllm_multi_process_adapter.py` 1539-1550, `request_telemetry/fastapi.py`: the endpoint is
/// `LMCACHE_REQUEST_TELEMETRY_ENDPOINT`, the ids are the engine's internal ones.
package final class TelemetryListener: Sendable {
    /// The path of LMCache's default endpoint.
    package static let path = "/api/v1/telemetry"
    /// Largest body, in bytes: some thousand request ids.
    package static let maximumBodyBytes = 1 << 20
    /// How long a connection may be silent.
    package static let idleTimeout = TimeAmount.seconds(75)

    private let listener: PeerListener

    /// What has happened so far; `notifications` counts request ids of ours.
    package var counters: NotificationCounters { listener.counters }

    /// Creates a listener; ``start()`` opens it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen, as for ``NotificationListener``.
    ///   - group: event loops of NIOPosix.
    ///   - logger: gets a line at debug for what was ignored.
    ///   - onNotification: called on the connection's event loop. Its `requestID` is the proxy's own, found in the engine's;
    ///     its `connection` is the worker's rank plus 1, as a worker may open a connection for each message.
    package init(
        endpoint: Endpoint, group: any EventLoopGroup, logger: Logger,
        onNotification: @escaping @Sendable (Notification) -> Void
    ) {
        let counters = NotificationCounters()
        listener = PeerListener(endpoint: endpoint, group: group, logger: logger, counters: counters) { channel, _ in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(IdleStateHandler(allTimeout: Self.idleTimeout))
            try pipeline.configureHTTPServerPipeline()
            try pipeline.addHandler(
                TelemetryHandler(counters: counters, logger: logger, onNotification: onNotification))
        }
    }

    /// Binds every address of the endpoint's host with one port.
    ///
    /// - Returns: the port, the chosen one where the endpoint's is 0.
    /// - Throws: ``NotifyError``.
    package func start() async throws -> Int { try await listener.start() }

    /// Stops listening; returns when all connections are closed.
    package func shutdown() async { await listener.shutdown() }
}
