import Logging
import NIOConcurrencyHelpers
import Testing

@testable import DisaggCore

@Suite("KV event feed", .timeLimit(.minutes(1)))
struct KVEventFeedTests {
    private static let tokens = (0..<16).map { Int32($0) }

    /// Tokens of a prompt that an engine is known to hold.
    private static func held(_ index: KVEventIndex, _ serial: Int) -> Int {
        var facts = RequestFacts()
        facts.tokenIDs = tokens
        var keys: (blockSize: Int, keys: [UInt64]) = (0, [])
        return index.heldTokens(facts, serial: serial, keys: &keys) ?? 0
    }

    private static func member(_ serial: Int, _ events: Endpoint, replay: Endpoint? = nil) -> BackendState {
        var backend = Backend(id: "prefill-\(serial)", role: .prefill, host: "127.0.0.1", port: 1)
        backend.kvEvents = KVEventAddress(publishes: events, replays: replay)
        return BackendState(backend, meter: BackendMeter(serial: serial))
    }

    @Test("what an engine published before, during and between is known, gaps included")
    func follows() async throws {
        let engine = EventEngine()
        let events = Endpoint(host: "127.0.0.1", port: try await engine.listen(.pub))
        let replay = Endpoint(host: "127.0.0.1", port: try await engine.listen(.router))
        let index = KVEventIndex(maximumBlocks: 1000)
        let tokens = Self.tokens
        engine.publish(0, hashes: [1], parent: nil, tokens: Array(tokens[0..<4]))
        let feed = try KVEventFeed(index: index, logger: Logger(label: "test"))
        feed.follow([Self.member(0, events, replay: replay)])
        try await eventually {
            Self.held(index, 0) == 4 && engine.subscriptions.withLockedValue { $0 == 1 }
        }
        engine.publish(1, hashes: [2], parent: 1, tokens: Array(tokens[4..<8]))
        try await eventually { Self.held(index, 0) == 8 }
        engine.publish(2, hashes: [3], parent: 2, tokens: Array(tokens[8..<12]), isLost: true)
        engine.publish(3, hashes: [4], parent: 3, tokens: Array(tokens[12..<16]))
        try await eventually { Self.held(index, 0) == 16 }
        #expect(engine.replays.withLockedValue { $0 } == [0, 2])
        await feed.stop()
        await engine.stop()
        #expect(Self.held(index, 0) == 0)
    }

    @Test("an engine that joins is followed, and one that leaves is forgotten")
    func membership() async throws {
        let engines = [EventEngine(), EventEngine()]
        var members: [BackendState] = []
        for (serial, engine) in engines.enumerated() {
            members.append(
                Self.member(serial, Endpoint(host: "127.0.0.1", port: try await engine.listen(.pub))))
        }
        let index = KVEventIndex(maximumBlocks: 1000)
        let feed = try KVEventFeed(index: index, logger: Logger(label: "test"))
        feed.follow([members[0]])
        try await eventually { engines[0].listeners == 1 }
        engines[0].publish(0, hashes: [1], parent: nil, tokens: Array(Self.tokens[0..<4]))
        try await eventually { Self.held(index, 0) == 4 }
        feed.follow(members)
        try await eventually { engines[1].listeners == 1 }
        engines[1].publish(0, hashes: [1, 2], parent: nil, tokens: Array(Self.tokens[0..<8]))
        try await eventually { Self.held(index, 1) == 8 }
        // The first was not disturbed by the second.
        #expect(Self.held(index, 0) == 4 && engines[0].subscriptions.withLockedValue { $0 } == 1)
        feed.follow([members[1]])
        try await eventually { Self.held(index, 0) == 0 && engines[0].listeners == 0 }
        #expect(Self.held(index, 1) == 8)
        await feed.stop()
        for engine in engines { await engine.stop() }
    }
}
