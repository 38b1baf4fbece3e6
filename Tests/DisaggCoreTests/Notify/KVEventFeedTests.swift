import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

/// An engine's event sockets, played by a script: PUB on one port, ROUTER for replays on another.
private final class EventEngine: Sendable {
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

    func stop() async {
        for server in servers.withLockedValue({ $0 }) { try? await server.close() }
    }
}

@Suite("KV event feed", .timeLimit(.minutes(1)))
struct KVEventFeedTests {
    @Test("what an engine published before, during and between is known, gaps included")
    func follows() async throws {
        let engine = EventEngine()
        let events = Endpoint(host: "127.0.0.1", port: try await engine.listen(.pub))
        let replay = Endpoint(host: "127.0.0.1", port: try await engine.listen(.router))
        let index = KVEventIndex(maximumBlocks: 1000)
        let tokens = (0..<16).map { Int32($0) }
        engine.publish(0, hashes: [1], parent: nil, tokens: Array(tokens[0..<4]))
        let feed = try KVEventFeed(
            [.init(backend: "prefill-0", serial: 0, events: events, replay: replay)], index: index,
            logger: Logger(label: "test"))
        await feed.start()
        func held() -> Int {
            var facts = RequestFacts()
            facts.tokenIDs = tokens
            var keys: (blockSize: Int, keys: [UInt64]) = (0, [])
            return index.heldTokens(facts, serial: 0, keys: &keys) ?? 0
        }
        try await eventually { held() == 4 && engine.subscriptions.withLockedValue { $0 == 1 } }
        engine.publish(1, hashes: [2], parent: 1, tokens: Array(tokens[4..<8]))
        try await eventually { held() == 8 }
        engine.publish(2, hashes: [3], parent: 2, tokens: Array(tokens[8..<12]), isLost: true)
        engine.publish(3, hashes: [4], parent: 3, tokens: Array(tokens[12..<16]))
        try await eventually { held() == 16 }
        #expect(engine.replays.withLockedValue { $0 } == [0, 2])
        await feed.stop()
        await engine.stop()
        #expect(held() == 0)
    }
}
