import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Engine registrations", .timeLimit(.minutes(1)))
struct RegistrationTests {
    private static func engine(_ port: Int, _ role: BackendRole = .prefill) -> EngineRegistration {
        EngineRegistration(role: role, http: .init(host: "10.0.0.1", port: port), zmqAddress: "10.0.0.1:\(port + 1)")
    }

    private static var fullEngine: EngineRegistration {
        var engine = engine(8100, .decode)
        engine.zmqAddress = "host:10.0.0.1,handshake:6301,notify:61005"
        (engine.dataParallel, engine.tensorParallel, engine.transferMode) = (300, 8, "READ")
        return engine
    }

    @Test("a P2pNccl ping has msgpack's bytes")
    func bytes() {
        let engine = EngineRegistration(role: .prefill, http: .init(host: "h", port: 1), zmqAddress: "h:2")
        // msgpack.packb({"type": "P", "http_address": "h:1", "zmq_address": "h:2"})
        let text = "\u{A4}type\u{A1}P\u{AC}http_address\u{A3}h:1\u{AB}zmq_address\u{A3}h:2"
        #expect(engine.encoded == [0x83] + text.unicodeScalars.map { UInt8($0.value) })
    }

    @Test("what is written is read back", arguments: [engine(8100), fullEngine])
    func roundTrip(engine: EngineRegistration) {
        #expect(EngineRegistration.decode(engine.encoded) == .registration(engine))
    }

    @Test("integers of every size are read", arguments: [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 40])
    func integers(value: Int) throws {
        var bytes: [UInt8] = []
        MessagePackWriter.append(value, to: &bytes)
        var reader = MessagePackReader(bytes)
        let number = try reader.readInt()
        #expect(number == value && reader.isAtEnd)
    }

    @Test("negative and foreign values are told apart")
    func otherIntegers() throws {
        for (bytes, value) in [([0xFF], -1), ([0xD0, 0x80], -128), ([0xD1, 0xFF, 0xFE], -2)] as [([UInt8], Int)] {
            var reader = MessagePackReader(bytes)
            let number = try reader.readInt()
            #expect(number == value)
        }
        for bytes in [[0xC0], [0xA1, 0x41], [0xCF, 0xFF, 0, 0, 0, 0, 0, 0, 0]] as [[UInt8]] {
            var reader = MessagePackReader(bytes)
            let number = try reader.readInt()
            #expect(number == nil && !reader.isAtEnd)
        }
    }

    @Test("no cut or changed ping traps, and none is taken for an engine it does not name")
    func damaged() {
        let good = Self.fullEngine.encoded
        for count in 0..<good.count { #expect(EngineRegistration.decode(Array(good.prefix(count))) == .malformed) }
        for index in good.indices {
            for value in [0, 0x7F, 0x80, 0xC1, 0xDB, 0xFF] as [UInt8] {
                var bytes = good
                bytes[index] = value
                guard case .registration(let engine) = EngineRegistration.decode(bytes) else { continue }
                #expect((1...65_535).contains(engine.http.port) && !engine.http.host.isEmpty)
                #expect((1...1024).contains(engine.dataParallel) && (1...1024).contains(engine.tensorParallel))
            }
        }
    }

    @Test("an address that would not stand in a header is refused", arguments: ["", "a b", "a\r\nx: y", "é:1", "a\"b"])
    func address(text: String) {
        var engine = Self.engine(1)
        engine.zmqAddress = text
        #expect(EngineRegistration.decode(engine.encoded) == .malformed)
    }

    @Test("the table keeps the order of arrival, knows a change, and forgets who is silent")
    func table() {
        let start = ContinuousClock.now
        func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
        var table = RegistrationTable(capacity: 2, expiry: .seconds(10))
        let heard = [(1, 0), (2, 1), (1, 3), (3, 3)].map { table.heard(Self.engine($0), at: at($1)) }
        #expect(heard == [true, true, false, false] && table.refused == 1)
        let early = table.expire(at: at(10))
        #expect(!early && table.engines == [Self.engine(1), Self.engine(2)])
        let late = table.expire(at: at(11))
        #expect(late && table.engines == [Self.engine(1)])
        let changed = table.heard(Self.engine(1, .decode), at: at(12))
        #expect(changed && table.engines == [Self.engine(1, .decode)])
        let last = table.expire(at: at(22))
        #expect(last && table.engines.isEmpty)
    }

    @Test("an engine that pings is there, and one that stops pinging is gone")
    func listener() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: [EngineRegistration].self)
        var changes = stream.makeAsyncIterator()
        let listener = RegistrationListener(
            endpoint: Endpoint(host: "localhost", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            expiry: .milliseconds(300), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
        let port = try await listener.start()
        let endpoint = Endpoint(host: "localhost", port: port)
        let first = PingSender(to: endpoint, group: MultiThreadedEventLoopGroup.singleton)
        first.start(Self.engine(1), every: .milliseconds(20))
        #expect(await changes.next() == [Self.engine(1)])
        let second = PingSender(to: endpoint, group: MultiThreadedEventLoopGroup.singleton)
        second.start(Self.fullEngine, every: .milliseconds(20))
        #expect(await changes.next() == [Self.engine(1), Self.fullEngine])
        await first.shutdown()
        #expect(await changes.next() == [Self.fullEngine])
        await second.shutdown()
        #expect(await changes.next() == [])
        #expect(listener.counters.notifications > 2 && listener.counters.malformedMessages == 0)
        await listener.shutdown()
    }

    @Test("what is no ping is counted, and the connection goes on")
    func junk() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: [EngineRegistration].self)
        var changes = stream.makeAsyncIterator()
        let listener = RegistrationListener(
            endpoint: Endpoint(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { continuation.yield($0) }
        let peer = try await RawPeer(port: try await listener.start())
        var bytes = ZMTP.greeting + ZMTP.ready(.dealer) + ZMTP.message([0xC1]) + ZMTP.message([], more: true)
        bytes += ZMTP.message(Self.engine(1).encoded) + ZMTP.message([0x81, 0xA4] + Array("type".utf8) + [0xA1, 0x58])
        try await peer.send(bytes + ZMTP.message(Self.engine(2).encoded))
        #expect(await changes.next() == [Self.engine(2)])
        #expect(listener.counters.malformedMessages == 2 && listener.counters.otherMessages == 1)
        try await peer.close()
        await listener.shutdown()
    }
}
