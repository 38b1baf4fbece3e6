import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

/// An engine's event sockets, played by a script: PUB on one port, ROUTER for replays on another.
final class EventEngine: Sendable {
    private let live = NIOLockedValueBox<[any Channel]>([])
    private let history = NIOLockedValueBox<[(number: UInt64, payload: [UInt8])]>([])
    private let servers = NIOLockedValueBox<[any Channel]>([])
    let subscriptions = NIOLockedValueBox(0)
    let replays = NIOLockedValueBox<[UInt64]>([])

    private static func bytes(_ number: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt64($0)) }
    }

    /// - Returns: the port.
    func listen(_ type: ZMTP.SocketType) async throws -> Int {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ZMTPHandler(local: type, keepsParts: true) { event in
                        switch event {
                        case .message(let body) where type == .pub && body == [1]:
                            self.live.withLockedValue { $0.append(channel) }
                            self.subscriptions.withLockedValue { $0 += 1 }
                        case .parts(let parts) where type == .router:
                            let first = parts[1].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                            self.replays.withLockedValue { $0.append(first) }
                            for batch in self.history.withLockedValue({ $0 }) where batch.number >= first {
                                Self.send([[], Self.bytes(batch.number), batch.payload], on: channel)
                            }
                            Self.send([[], Self.bytes(.max), []], on: channel)
                        default: break
                        }
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        servers.withLockedValue { $0.append(server) }
        return server.localAddress?.port ?? 0
    }

    private static func send(_ parts: [[UInt8]], on channel: any Channel) {
        for (index, part) in parts.enumerated() {
            channel.write(
                channel.allocator.buffer(bytes: ZMTP.message(part, more: index < parts.count - 1)), promise: nil)
        }
        channel.flush()
    }

    /// Publishes a batch; `isLost` keeps it from the subscribers.
    func publish(_ number: UInt64, hashes: [UInt64], parent: UInt64?, tokens: [Int32], isLost: Bool = false) {
        let payload = KVEventPack.stored(hashes, parent: parent, tokens: tokens, blockSize: 4)
        history.withLockedValue { $0.append((number, payload)) }
        guard !isLost else { return }
        for channel in live.withLockedValue({ $0 }) { Self.send([[], Self.bytes(number), payload], on: channel) }
    }

    /// Connections that have subscribed and still stand.
    var listeners: Int { live.withLockedValue { $0.count { $0.isActive } } }

    func stop() async {
        for server in servers.withLockedValue({ $0 }) { try? await server.close() }
    }
}
