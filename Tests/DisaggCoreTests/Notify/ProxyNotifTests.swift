import Testing

@testable import DisaggCore

@Suite("ProxyNotif")
struct ProxyNotifTests {
    /// msgspec's bytes for req_id "abc" and "42" (LMCache 0.5.6), and one captured from LMCache 0.5.1 on vLLM 0.24.0.
    static let abc = bytes("82a474797065aa50726f78794e6f746966a67265715f6964a3616263")
    static let fortyTwo = bytes("82a474797065aa50726f78794e6f746966a67265715f6964a23432")
    static let captured = bytes("82a474797065aa50726f78794e6f746966a67265715f6964a57265712d31")

    static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private func map(_ pairs: [([UInt8], [UInt8])]) -> [UInt8] {
        pairs.reduce(into: [0x80 | UInt8(pairs.count)]) { $0 += $1.0 + $1.1 }
    }

    private func string(_ text: String) -> [UInt8] {
        var output: [UInt8] = []
        MessagePackWriter.append(text, to: &output)
        return output
    }

    @Test("reads and writes LMCache's own bytes", arguments: [(abc, "abc"), (fortyTwo, "42"), (captured, "req-1")])
    func golden(bytes: [UInt8], id: String) {
        #expect(ProxyNotif.decode(bytes) == .notification(ProxyNotif(requestID: id)))
        #expect(ProxyNotif(requestID: id).encoded == bytes)
    }

    @Test("ids of every length class survive", arguments: [0, 1, 31, 32, 255, 256, 65_535, 65_536])
    func lengths(count: Int) {
        let notif = ProxyNotif(requestID: String(repeating: "x", count: count))
        #expect(ProxyNotif.decode(notif.encoded) == .notification(notif))
    }

    @Test("an id of 32 bytes is a str8, as msgspec writes it")
    func str8() {
        let encoded = ProxyNotif(requestID: String(repeating: "r", count: 32)).encoded
        #expect(encoded.dropFirst(24).prefix(2) == [0xD9, 32])
    }

    @Test("keys may come in any order and long forms")
    func anyOrder() {
        let swapped = map([(string("req_id"), string("abc")), (string("type"), string("ProxyNotif"))])
        #expect(ProxyNotif.decode(swapped) == .notification(ProxyNotif(requestID: "abc")))
        let long: [UInt8] =
            [0xDF, 0, 0, 0, 2, 0xDB, 0, 0, 0, 4] + Array("type".utf8) + [0xDA, 0, 10] + Array("ProxyNotif".utf8)
            + [0xD9, 6] + Array("req_id".utf8) + [0xDB, 0, 0, 0, 1] + Array("7".utf8)
        #expect(ProxyNotif.decode(long) == .notification(ProxyNotif(requestID: "7")))
    }

    @Test(
        "extra keys with values of any type are skipped",
        arguments: [
            "00", "7f", "e0", "ff", "c0", "c2", "c3", "c400", "c4020102", "c500010a", "c60000000109", "c7010509",
            "c8000105aa",
            "c90000000005", "ca3f800000", "cb3ff0000000000000", "ccff", "cdffff", "ceffffffff", "cfffffffffffffffff",
            "d0ff",
            "d1ffff", "d2ffffffff", "d3ffffffffffffffff", "d40501", "d5050102", "d60501020304", "d7050102030405060708",
            "d80500000000000000000000000000000000", "a0", "a161", "d90161", "da000161", "db0000000161", "90",
            "9301c0a0",
            "dc000101", "dd0000000101", "80", "8101c0", "81a16b91818001", "de00010102", "df000000010102",
        ])
    func extraKeys(hex: String) {
        let extra = Self.bytes(hex)
        for key in [string("extra"), [0x07], extra] {
            for position in 0...2 {
                var pairs = [(string("type"), string("ProxyNotif")), (string("req_id"), string("abc"))]
                pairs.insert((key, extra), at: position)
                #expect(ProxyNotif.decode(map(pairs)) == .notification(ProxyNotif(requestID: "abc")))
            }
        }
    }

    @Test("another type is told from a malformed message")
    func otherTypes() {
        #expect(ProxyNotif.decode(map([(string("type"), string("CancelNotif"))])) == .otherType)
        #expect(ProxyNotif.decode(map([(string("type"), [7]), (string("req_id"), string("x"))])) == .otherType)
    }

    @Test("every cut, and every byte too many, is malformed")
    func cuts() {
        for end in 0..<Self.abc.count { #expect(ProxyNotif.decode(Array(Self.abc[..<end])) == .malformed) }
        #expect(ProxyNotif.decode(Self.abc + [0xC0]) == .malformed)
    }

    @Test("what is no ProxyNotif is malformed, without a trap")
    func malformed() {
        let type = (string("type"), string("ProxyNotif"))
        let cases: [[UInt8]] = [
            [], [0xC1], [7], string("ProxyNotif"), [0x80], map([(string("req_id"), string("x"))]), map([type]),
            map([type, (string("req_id"), [7])]), map([type, (string("req_id"), [0xA1, 0xFF])]),
            map([type, (string("req_id"), [0xC4, 1, 65])]), [0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
            [0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 1],
            map([(string("a"), [0xDD, 0xFF, 0xFF, 0xFF, 0xFF])]), map([(string("a"), [0xDB, 0xFF, 0xFF, 0xFF, 0xFF])]),
            map([(string("a"), [0xC9, 0xFF, 0xFF, 0xFF, 0xFF])]), map([type, (string("a"), [0xC1])]),
        ]
        for bytes in cases { #expect(ProxyNotif.decode(bytes) == .malformed, "\(bytes)") }
    }

    @Test("nesting is bounded, not the stack")
    func depth() throws {
        let limit = MessagePackReader.maximumDepth
        var reader = MessagePackReader(Array(repeating: 0x91, count: limit) + [0xC0])
        try reader.skipValue()
        #expect(reader.isAtEnd)
        var deeper = MessagePackReader(Array(repeating: 0x91, count: limit + 1) + [0xC0])
        #expect(throws: MessagePackError.tooDeep) { try deeper.skipValue() }
        #expect(ProxyNotif.decode([0x81] + Array(repeating: 0x81, count: 60_000)) == .malformed)
    }

    @Test("never traps on random bytes", arguments: 0..<4)
    func fuzz(seed: UInt64) {
        var random = SplitMix(state: seed)
        for _ in 0..<3000 {
            var bytes = Bool.random(using: &random) ? Self.captured : []
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            for _ in 0..<Int.random(in: 0...24, using: &random) { bytes.append(.random(in: 0...255, using: &random)) }
            _ = ProxyNotif.decode(bytes)
        }
    }
}
