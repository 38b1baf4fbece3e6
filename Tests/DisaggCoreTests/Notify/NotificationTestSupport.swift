import Logging
import NIOCore
import NIOPosix

@testable import DisaggCore

/// A listener and what it delivered, in order.
struct NotificationInbox: ~Copyable {
    let listener: NotificationListener
    private let group: any EventLoopGroup
    private var iterator: AsyncStream<Notification>.Iterator

    init(
        host: String = "127.0.0.1", port: Int = 0, maximumConnections: Int = 4096,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        let (stream, continuation) = AsyncStream.makeStream(of: Notification.self)
        self.group = group
        iterator = stream.makeAsyncIterator()
        listener = NotificationListener(
            endpoint: Endpoint(host: host, port: port), group: group, maximumConnections: maximumConnections,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
    }

    /// Waits for the next notifications.
    mutating func next(_ count: Int = 1) async -> [Notification] {
        var received: [Notification] = []
        while received.count < count, let notification = await iterator.next() { received.append(notification) }
        return received
    }
}

/// A peer that sends whatever it is told.
struct RawPeer {
    private let channel: any Channel

    /// Notices the listener's first bytes.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let firstBytes: EventLoopPromise<Void>
        init(firstBytes: EventLoopPromise<Void>) { self.firstBytes = firstBytes }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { firstBytes.succeed() }
        func channelInactive(context: ChannelHandlerContext) { firstBytes.fail(ChannelError.eof) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let greeted: EventLoopFuture<Void>

    init(port: Int, host: String = "127.0.0.1") async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: Void.self)
        greeted = promise.futureResult
        do {
            channel = try await ClientBootstrap(group: loop)
                .channelOption(.allowRemoteHalfClosure, value: false)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Reader(firstBytes: promise))
                    }
                }
                .connect(to: SocketAddress(ipAddress: host, port: port)).get()
        } catch {
            promise.fail(error)
            throw error
        }
    }

    func send(_ bytes: some Sequence<UInt8>) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// Waits until the listener has accepted this peer and greeted it.
    func waitForGreeting() async throws { try await greeted.get() }

    /// Sends the end of the stream and waits until the listener has closed its end.
    func finish() async throws {
        try? await channel.close(mode: .output).get()
        try await waitForClose()
    }

    func waitForClose() async throws { try await channel.closeFuture.get() }
    func close() async throws { try await channel.close().get() }
}
