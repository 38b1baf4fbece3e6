import Testing

@testable import DisaggCore

/// What a PUSH of libzmq 4.3.5 sends when a ``ProxyNotif`` is pushed, captured from pyzmq 27.3.0 with a raw socket
/// (`greeting`, `ready` and `message` are its exact bytes), and more that RFC 37 allows.
enum ZMTPSamples {
    static let greeting: [UInt8] =
        [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1] + Array("NULL".utf8) + Array(repeating: 0, count: 48)
    static let ready: [UInt8] =
        [0x04, 0x1A, 5] + Array("READY".utf8) + [11] + Array("Socket-Type".utf8) + [0, 0, 0, 4] + Array("PUSH".utf8)
    static let abc: [UInt8] = ProxyNotifTests.abc
    static let message: [UInt8] = [0x00, 28] + abc
    static let ping: [UInt8] = [0x04, 9, 4] + Array("PING".utf8) + [0, 10] + Array("hi".utf8)
    static let multipart: [UInt8] = [0x01, 2, 1, 2, 0x01, 0, 0x00, 1, 3]
    static let long: [UInt8] = [0x02, 0, 0, 0, 0, 0, 0, 1, 0] + Array(repeating: 7, count: 256)
    static let unknownCommand: [UInt8] = [0x06, 0, 0, 0, 0, 0, 0, 0, 5, 3] + Array("XYZ!".utf8)
    static let session = greeting + ready + message + ping + multipart + unknownCommand + long + message
    static let sessionEvents: [ZMTPConnection.Event] = [
        .reply(ZMTP.ready(.pull)), .established, .message(abc),
        .reply([0x04, 7, 4] + Array("PONG".utf8) + Array("hi".utf8)), .multipart,
        .message(Array(repeating: 7, count: 256)), .message(abc),
    ]
}

/// The same numbers on every run. Source: SplitMix64, Steele et al., OOPSLA 2014.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("ZMTP connection")
struct ZMTPConnectionTests {
    private func run(_ chunks: [some Sequence<UInt8>]) throws(ZMTPError) -> [ZMTPConnection.Event] {
        var connection = ZMTPConnection(local: .pull)
        var events: [ZMTPConnection.Event] = []
        for chunk in chunks {
            connection.append(chunk)
            while let event = try connection.next() { events.append(event) }
        }
        return events
    }

    private func error(_ bytes: [UInt8]) -> ZMTPError? {
        do throws(ZMTPError) {
            _ = try run([bytes])
            return nil
        } catch {
            return error
        }
    }

    private let handshake = ZMTPSamples.greeting + ZMTPSamples.ready

    @Test("writes the greeting and READY byte for byte as the RFC has them")
    func goldenHandshake() {
        #expect(ZMTP.greeting.count == 64)
        #expect(ZMTP.greeting.prefix(16) == [0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 3, 1, 0x4E, 0x55, 0x4C, 0x4C])
        #expect(ZMTP.greeting.dropFirst(16).allSatisfy { $0 == 0 })
        #expect(ZMTP.ready(.push) == ZMTPSamples.ready)
        #expect(ZMTP.message(ZMTPSamples.abc) == ZMTPSamples.message)
        #expect(ZMTP.message(Array(repeating: 7, count: 256)) == ZMTPSamples.long)
        #expect(ZMTP.message(Array(repeating: 7, count: 255)).prefix(2) == [0, 255])
    }

    @Test("reads a whole session at once")
    func wholeSession() throws {
        #expect(try run([ZMTPSamples.session]) == ZMTPSamples.sessionEvents)
    }

    @Test("reads a session split at every offset")
    func everySplit() throws {
        let bytes = ZMTPSamples.session
        for offset in 0...bytes.count {
            #expect(try run([bytes[..<offset], bytes[offset...]]) == ZMTPSamples.sessionEvents, "split at \(offset)")
        }
    }

    @Test("reads a session byte by byte")
    func byteByByte() throws {
        #expect(try run(ZMTPSamples.session.map { [$0] }) == ZMTPSamples.sessionEvents)
    }

    @Test("a PUSH and a PULL machine come to terms with each other")
    func bothSides() throws {
        var pull = ZMTPConnection(local: .pull)
        var push = ZMTPConnection(local: .push)
        pull.append(push.opening)
        push.append(pull.opening)
        guard case .reply(let pullReady)? = try pull.next(), case .reply(let pushReady)? = try push.next() else {
            Issue.record("expected READY from both")
            return
        }
        pull.append(pushReady)
        push.append(pullReady)
        #expect(try pull.next() == .established)
        #expect(try push.next() == .established)
    }

    @Test("accepts ZMTP 3.0, later versions, other cases of property names and properties it does not know")
    func tolerant() throws {
        var old = ZMTPSamples.greeting
        old[11] = 0
        var later = ZMTPSamples.greeting
        later[10] = 4
        let ready = ZMTP.command(
            "READY",
            [8] + Array("Identity".utf8) + [0, 0, 0, 0, 11] + Array("sOCKET-tYPE".utf8) + [0, 0, 0, 4]
                + Array("PUSH".utf8))
        for greeting in [old, later] {
            #expect(try run([greeting + ready]) == [.reply(ZMTP.ready(.pull)), .established])
        }
    }

    @Test("refuses what is no ZMTP 3 with NULL, at the first wrong byte")
    func wrongGreetings() {
        var mechanism = ZMTPSamples.greeting
        mechanism.replaceSubrange(12..<17, with: Array("PLAIN".utf8))
        #expect(error(Array("G".utf8)) == .badSignature)
        #expect(error([0x01]) == .badSignature)
        #expect(error(Array(repeating: 0xFF, count: 9) + [0x00]) == .badSignature)
        #expect(error(Array(ZMTPSamples.greeting[..<10]) + [1]) == .unsupportedVersion(1))
        #expect(error(Array(mechanism[..<32])) == .unsupportedMechanism)
    }

    @Test("refuses frames that no peer may send")
    func wrongFrames() {
        #expect(error(ZMTPSamples.greeting + ZMTPSamples.message) == .notReady)
        #expect(error(ZMTPSamples.greeting + ZMTPSamples.ping) == .notReady)
        #expect(error(ZMTPSamples.greeting + ZMTP.ready(.pull)) == .incompatiblePeer)
        #expect(error(ZMTPSamples.greeting + ZMTP.command("READY", [])) == .incompatiblePeer)
        #expect(error(ZMTPSamples.greeting + ZMTP.command("READY", [200, 1])) == .malformedCommand)
        #expect(
            error(ZMTPSamples.greeting + ZMTP.command("READY", [1, 65, 0xFF, 0xFF, 0xFF, 0xFF])) == .malformedCommand)
        #expect(error(ZMTPSamples.greeting + ZMTP.command("ERROR", [0])) == .refusedByPeer)
        #expect(error(handshake + ZMTP.command("ERROR", [0])) == .refusedByPeer)
        #expect(error(handshake + [0x04, 0]) == .malformedCommand)
        #expect(error(handshake + [0x04, 2, 9, 9]) == .malformedCommand)
        #expect(error(handshake + ZMTP.command("PING", [0])) == .malformedCommand)
        #expect(error(handshake + [0x08]) == .badFlags(0x08))
        #expect(error(handshake + [0x05]) == .badFlags(0x05))
    }

    @Test("takes a frame of 64 KiB and refuses one byte more before its body comes")
    func frameLimit() throws {
        let limit = ZMTP.maximumFrameBytes
        let largest = Array(repeating: UInt8(1), count: limit)
        #expect(try run([handshake + ZMTP.message(largest)]).last == .message(largest))
        let head = ZMTP.message(Array(repeating: UInt8(1), count: limit + 1)).prefix(9)
        #expect(error(handshake + head) == .frameTooLarge(UInt64(limit) + 1))
        #expect(error(handshake + [2] + Array(repeating: 0xFF, count: 8)) == .frameTooLarge(.max))
    }

    @Test("cuts a PING's context to 16 bytes, as the RFC bounds it")
    func pingContext() throws {
        let ping = ZMTP.command("PING", [0, 1] + Array(repeating: UInt8(9), count: 40))
        #expect(try run([handshake + ping]).last == .reply(ZMTP.command("PONG", Array(repeating: 9, count: 16))))
    }

    @Test("says nothing more after an error")
    func silentAfterError() throws {
        var connection = ZMTPConnection(local: .pull)
        connection.append([0])
        #expect(throws: ZMTPError.badSignature) { try connection.next() }
        connection.append(ZMTPSamples.session)
        #expect(try connection.next() == nil)
        #expect(connection.inputClosed() == nil)
    }

    @Test("knows whether the peer closed inside something")
    func closedMidway() throws {
        let bytes = handshake + ZMTPSamples.multipart + ZMTPSamples.message
        let multipart = handshake.count + ZMTPSamples.multipart.count
        let clean: Set = [0, handshake.count, multipart, bytes.count]
        for end in 0...bytes.count {
            var connection = ZMTPConnection(local: .pull)
            connection.append(bytes[..<end])
            while try connection.next() != nil {}
            #expect(connection.inputClosed() == (clean.contains(end) ? nil : .truncated), "closed after \(end) bytes")
        }
    }

    @Test("never traps on random bytes, and needs no more memory than it was given", arguments: 0..<8)
    func fuzz(seed: UInt64) {
        var random = SplitMix(state: seed)
        for _ in 0..<400 {
            // A valid prefix of random length, then noise with likely flags: deep states are reached.
            var bytes = Array(ZMTPSamples.session.prefix(Int.random(in: 0...ZMTPSamples.session.count, using: &random)))
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            for _ in 0..<Int.random(in: 0...200, using: &random) {
                bytes.append(
                    Bool.random(using: &random)
                        ? UInt8.random(in: 0...7, using: &random) : .random(in: 0...255, using: &random))
            }
            var connection = ZMTPConnection(local: .pull)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...rest.count, using: &random)
                connection.append(rest.prefix(count))
                rest = rest.dropFirst(count)
                while let event = try? connection.next() {
                    if case .message(let body) = event { _ = ProxyNotif.decode(body) }
                }
            }
            _ = connection.inputClosed()
        }
    }
}
