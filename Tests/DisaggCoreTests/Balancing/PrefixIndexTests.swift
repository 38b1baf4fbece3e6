import Testing

@testable import DisaggCore

@Suite("Prefix index")
struct PrefixIndexTests {
    private static let second: UInt64 = 1_000_000_000

    static func keys(_ text: String, namespace: UInt64 = 0) -> [UInt64] {
        var keys: [UInt64] = []
        Array(text.utf8).withUnsafeBytes { PrefixBlocks.appendKeys(of: $0, namespace: namespace, to: &keys) }
        return keys
    }

    @Test("blocks grow with their place, and a prompt of any length has few")
    func blocks() {
        #expect(PrefixBlocks.bytes(ofFirst: 1) == 256)
        #expect(PrefixBlocks.bytes(ofFirst: 8) == 2048)
        #expect(PrefixBlocks.bytes(ofFirst: 9) == 2048 + 512)
        #expect(Self.keys(String(repeating: "a", count: 255)).isEmpty)
        #expect(Self.keys(String(repeating: "a", count: 256)).count == 1)
        #expect(Self.keys(String(repeating: "a", count: 2_000_000)).count == PrefixBlocks.maximumBlocks)
        for count in 1...PrefixBlocks.maximumBlocks {
            let length = PrefixBlocks.bytes(ofFirst: count)
            #expect(Self.keys(String(repeating: "a", count: length)).count == count)
            #expect(Self.keys(String(repeating: "a", count: length - 1)).count == count - 1)
        }
    }

    @Test("every byte of a text changes its hash, and so does its length")
    func hashes() {
        var seen: Set<UInt64> = []
        var texts = 0
        for length in [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 200] {
            var text = [UInt8](repeating: UInt8(ascii: "a"), count: length)
            for changed in -1..<length {
                if changed >= 0 { text[changed] ^= 1 }
                seen.insert(text.withUnsafeBytes { StableHash.hash($0, seed: 5) })
                if changed >= 0 { text[changed] ^= 1 }
                texts += 1
            }
        }
        #expect(seen.count == texts)
        #expect(StableHash.hash("a", seed: 5) != StableHash.hash("a", seed: 6))
    }

    @Test("equal keys mean equal beginnings of one cache")
    func chained() {
        let one = Self.keys(String(repeating: "a", count: 512) + String(repeating: "b", count: 512))
        let two = Self.keys(String(repeating: "a", count: 512) + String(repeating: "c", count: 512))
        let other = Self.keys(String(repeating: "c", count: 512) + String(repeating: "b", count: 512))
        #expect(one.prefix(2) == two.prefix(2) && one[2] != two[2])
        #expect(one[2] != other[2] && one[3] != other[3])
        #expect(one != Self.keys(String(repeating: "a", count: 512) + String(repeating: "b", count: 512), namespace: 1))
    }

    @Test("the longest prefix that each backend was sent is found, until it has aged")
    func match() {
        let index = PrefixIndex(maximumBlocks: 4096, lifetime: 60 * Self.second)
        let shared = String(repeating: "s", count: 1024)
        let long = Self.keys(shared + String(repeating: "x", count: 1024))
        let short = Self.keys(shared + String(repeating: "y", count: 1024))
        index.insert(long, serial: 3, now: Self.second)
        index.insert(short, serial: 5, now: 2 * Self.second)
        let match = index.match(long, now: 3 * Self.second)
        #expect(match.tokens(serial: 3) == 512 && match.tokens(serial: 5) == 256 && match.tokens(serial: 4) == 0)
        #expect(index.match(long, now: 63 * Self.second).tokens(serial: 3) == 0)
        #expect(index.match(long, now: 61 * Self.second).tokens(serial: 5) == 256)
        #expect(index.match([], now: Self.second).count == 0)
    }

    @Test("what a restarted engine held is forgotten")
    func restart() {
        let index = PrefixIndex(maximumBlocks: 4096, lifetime: 600 * Self.second)
        let keys = Self.keys(String(repeating: "s", count: 1024))
        var role = TestRole(2)
        index.insert(keys, serial: 1, now: role.now)
        #expect(index.match(keys, now: role.now).valid(among: role.candidates()).tokens(serial: 1) == 256)
        role.meters[1].cacheValidSince = role.now + 5 * Self.second
        role.now += 10 * Self.second
        #expect(index.match(keys, now: role.now).valid(among: role.candidates()).tokens(serial: 1) == 0)
        index.insert(keys, serial: 1, now: role.now)
        #expect(index.match(keys, now: role.now).valid(among: role.candidates()).tokens(serial: 1) == 256)
    }

    @Test("the table stays within its size under a million distinct prompts, and keeps the latest")
    func bounded() {
        let index = PrefixIndex(maximumBlocks: 65_536, lifetime: 600 * Self.second)
        var generator = SeededGenerator(seed: 11)
        var keys: [UInt64] = [0]
        for prompt in 0..<1_000_000 as Range<UInt64> {
            keys[0] = generator.next()
            index.insert(keys, serial: Int(prompt % 16), now: Self.second + prompt * 1_000_000)
        }
        #expect(index.count <= 65_536)
        #expect(index.bytes <= 65_536 * PrefixShard.bytesPerKey, "\(index.bytes)")
        #expect(index.match(keys, now: 1001 * Self.second).count == 1)
    }

    @Test("a cached prefix draws requests until its backend is loaded")
    func policy() {
        let policy = PrefixCachePolicy()
        let role = TestRole(4)
        var facts = RequestFacts()
        facts.promptTokens = 1000
        facts.prefixKeys = Self.keys(String(repeating: "p", count: 4000))
        var generator = SeededGenerator(seed: 2)
        guard let first = policy.pick(from: role.candidates(), for: facts, using: &generator) else {
            Issue.record("nothing was chosen")
            return
        }
        for _ in 0..<20 {
            #expect(policy.pick(from: role.candidates(), for: facts, using: &generator) == first)
        }
        for _ in 0..<20 { role.meters[first].enter() }
        #expect(policy.pick(from: role.candidates(), for: facts, using: &generator) != first)
    }
}
