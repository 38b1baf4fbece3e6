package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

#if canImport(Glibc)
internal import Glibc
#endif

/// Accepts clients: one listening socket for each event loop, shared by `SO_REUSEPORT`, so a client stays on the loop
/// whose socket accepted it.
package final class DownstreamListener: Sendable {
    private let channels: [any Channel]

    /// The address the first socket is bound to.
    package let localAddress: SocketAddress?

    private init(channels: [any Channel]) {
        self.channels = channels
        localAddress = channels.first?.localAddress
    }

    /// Binds.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen; port 0 lets the system choose.
    ///   - handlers: the request handler of each event loop.
    package static func bind(
        to endpoint: Endpoint, limits: DownstreamLimits,
        handlers: [NIOLoopBound<any ClientRequestHandler>], eventLoops: [any EventLoop]
    ) async throws -> DownstreamListener {
        var channels: [any Channel] = []
        var target = endpoint
        do {
            for (handler, eventLoop) in zip(handlers, eventLoops) {
                // The first socket is bound alone, for two proxies on one port would share it unseen.
                if channels.isEmpty, endpoint.port != 0 {
                    let probe = try await ServerBootstrap(group: eventLoop)
                        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                        .bind(host: endpoint.host, port: endpoint.port).get()
                    try await probe.close()
                }
                let channel = try await bootstrap(eventLoop, handler, limits)
                    .bind(host: target.host, port: target.port).get()
                channels.append(channel)
                if target.port == 0, let port = channel.localAddress?.port { target.port = port }
            }
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
        return DownstreamListener(channels: channels)
    }

    private static func bootstrap(
        _ eventLoop: any EventLoop, _ handler: NIOLoopBound<any ClientRequestHandler>, _ limits: DownstreamLimits
    ) -> ServerBootstrap {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = limits.headBytes
        configuration.maxHeaderListSize = limits.headBytes
        let decoderConfiguration = configuration
        return ServerBootstrap(group: eventLoop, childGroup: eventLoop)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 16 << 10, high: 64 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let connection = DownstreamHandler(handler: handler.value, limits: limits)
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(ArrivalHandler(connection: connection))
                    try pipeline.addHandler(
                        ByteToMessageHandler(
                            HTTPRequestDecoder(
                                leftOverBytesStrategy: .dropBytes, limitConfiguration: decoderConfiguration)))
                    try pipeline.addHandler(connection)
                }
            }
    }

    /// Stops accepting.
    package func close() async {
        for channel in channels { try? await channel.close() }
    }
}
