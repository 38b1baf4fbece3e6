import NIOCore
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

/// Reads from one socket and writes to another, in ways that the seed decides.
private final class Relay: StreamSocket {
    let out: StreamSocket
    /// Closed with the output when this many bytes have been relayed.
    var bytesUntilClose = Int.max
    private var random: SeededGenerator

    init(reactor: Reactor, descriptor: CInt, out: StreamSocket, random: SeededGenerator) {
        self.out = out
        self.random = random
        super.init(reactor: reactor, descriptor: descriptor, endsAtHangUp: false)
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
        let cut = Int.random(in: 0...bytes.count, using: &random)
        let parts = [bytes[..<cut], bytes[cut...]].map { UnsafeRawBufferPointer(rebasing: $0) }
        for part in parts where !part.isEmpty {
            switch UInt8.random(in: 0..<5, using: &random) {
            case 0: out.enqueue(ByteBuffer(bytes: part))
            case 1:
                out.enqueue(ByteBuffer(bytes: part))
                out.flush()
            // Bytes that are not the reactor's.
            case 2: ByteBuffer(bytes: part).withUnsafeReadableBytes { out.send($0) }
            default: out.send(part)
            }
        }
        bytesUntilClose -= bytes.count
        if bytesUntilClose <= 0 {
            out.flush()
            out.close()
        }
    }

    override func inputEnded() {
        out.finishOutput()
        close()
    }
}

@Suite("Relaying in batches", .timeLimit(.minutes(1)))
struct RelayBatchFuzzTests {
    private static func pair() throws -> (CInt, CInt) {
        var ends: [CInt] = [0, 0]
        try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
        return (ends[0], ends[1])
    }

    private static func drain(_ descriptor: CInt, into bytes: inout [UInt8]) -> Bool {
        var room = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &room, room.count, 0)
            guard count > 0 else { return count == 0 }
            bytes += room[..<count]
        }
    }

    @Test(
        "what many sockets relay in one batch of events arrives whole and in order",
        arguments: 0..<Fuzzing.iterations(40))
    func order(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let reactor = try Reactor()
        var inputs: [CInt] = []
        var outputs: [CInt] = []
        var relays: [Relay] = []
        for _ in 0..<Int.random(in: 2...12, using: &random) {
            let (input, inner) = try Self.pair()
            let (outer, output) = try Self.pair()
            let out = StreamSocket(reactor: reactor, descriptor: outer, endsAtHangUp: false)
            let relay = Relay(
                reactor: reactor, descriptor: inner, out: out, random: SeededGenerator(seed: random.next()))
            try #require(relay.start() && out.start())
            inputs.append(input)
            outputs.append(output)
            relays.append(relay)
        }
        defer { for descriptor in inputs + outputs { close(descriptor) } }
        if Bool.random(using: &random) { relays[0].bytesUntilClose = Int.random(in: 1...400_000, using: &random) }
        var sent = [[UInt8]](repeating: [], count: inputs.count)
        var received = sent
        let small = Bool.random(using: &random)
        for _ in 0..<30 {
            for index in inputs.indices where Bool.random(using: &random) {
                let bytes = (0..<Int.random(in: 1...(small ? 300 : 60_000), using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                let count = send(inputs[index], bytes, bytes.count, CInt(MSG_NOSIGNAL))
                if count > 0 { sent[index] += bytes[..<count] }
            }
            // A timer that is due, so that a turn never waits.
            _ = reactor.scheduleTask(deadline: .now()) {}
            reactor.turn()
            for index in outputs.indices where Bool.random(using: &random) {
                _ = Self.drain(outputs[index], into: &received[index])
            }
        }
        for input in inputs { shutdown(input, CInt(SHUT_WR)) }
        var ended = [Bool](repeating: false, count: outputs.count)
        for _ in 0..<10_000 where ended.contains(false) {
            _ = reactor.scheduleTask(deadline: .now()) {}
            reactor.turn()
            for index in outputs.indices where !ended[index] {
                ended[index] = Self.drain(outputs[index], into: &received[index])
            }
        }
        #expect(!ended.contains(false), "seed \(seed)")
        for index in outputs.indices {
            if relays[index].bytesUntilClose <= 0 {
                #expect(sent[index].starts(with: received[index]), "seed \(seed), socket \(index)")
            } else {
                #expect(received[index] == sent[index], "seed \(seed), socket \(index)")
            }
        }
    }
}
