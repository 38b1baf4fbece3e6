import Testing

@testable import DisaggCore

@Suite("PD buffer")
struct PDBufferTests {
    private func keys(_ tokens: Range<Int>) -> [Int] {
        ChunkKeys.keys(of: tokens, chunkTokens: 4, worldSize: 1, rank: 0)
    }

    @Test("frees all chunks of a prefill when its request retrieves them")
    func hit() {
        var buffer = PDBuffer(capacity: 8)
        #expect(buffer.reserve("a", keys: keys(0..<10)) == .granted)
        #expect(buffer.used == 3)
        let before = buffer.retrieve(keys(0..<10))
        #expect(before.freed == 0)
        let stored = buffer.store("a")
        #expect(stored)
        let hit = buffer.retrieve(keys(0..<10))
        #expect(hit == .init(freed: 3, stranded: 0, isHit: true, granted: []))
        #expect(buffer.used == 0)
    }

    @Test("a prompt one token longer strands the last partial chunk")
    func stranded() {
        var buffer = PDBuffer(capacity: 8)
        _ = buffer.reserve("a", keys: keys(0..<10))
        _ = buffer.store("a")
        let result = buffer.retrieve(keys(0..<11))
        #expect(result == .init(freed: 2, stranded: 1, isHit: false, granted: []))
        #expect(buffer.used == 1)
    }

    @Test("a full buffer makes prefills wait in order until one is consumed")
    func waits() {
        var buffer = PDBuffer(capacity: 4)
        _ = buffer.reserve("a", keys: keys(0..<10))
        #expect(buffer.reserve("b", keys: keys(20..<28)) == .waiting)
        #expect(buffer.reserve("c", keys: keys(40..<41)) == .waiting)
        _ = buffer.store("a")
        let result = buffer.retrieve(keys(0..<10))
        #expect(result.granted == ["b", "c"])
    }

    @Test("the same id twice is refused while it lives and fine afterwards")
    func duplicates() {
        var buffer = PDBuffer(capacity: 4)
        _ = buffer.reserve("a", keys: keys(0..<3))
        #expect(buffer.reserve("a", keys: keys(9..<10)) == .duplicate)
        _ = buffer.store("a")
        _ = buffer.retrieve(keys(0..<3))
        #expect(buffer.reserve("a", keys: keys(9..<10)) == .granted)
    }

    @Test("a sender that vanished gives its unsent reservations back")
    func cancel() {
        var buffer = PDBuffer(capacity: 4)
        _ = buffer.reserve("a", keys: keys(0..<16))
        _ = buffer.reserve("b", keys: keys(0..<4))
        let (freed, granted) = buffer.cancel("a")
        #expect(freed == 4)
        #expect(granted == ["b"])
    }
}
