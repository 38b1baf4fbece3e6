import Testing

@testable import DisaggCore

/// Writes MessagePack for tests.
struct KVEventPack {
    var bytes: [UInt8] = []

    mutating func array(_ count: Int) { bytes += [0xDC, UInt8(count >> 8), UInt8(count & 0xFF)] }
    mutating func map(_ count: Int) { bytes.append(0x80 | UInt8(count)) }
    mutating func text(_ text: String) { MessagePackWriter.append(text, to: &bytes) }
    mutating func null() { bytes.append(0xC0) }
    mutating func double() { bytes += [0xCB, 0, 0, 0, 0, 0, 0, 0, 0] }
    mutating func integer(_ value: UInt64) {
        bytes.append(0xCF)
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
    mutating func integers(_ values: [UInt64]) {
        array(values.count)
        for value in values { integer(value) }
    }
    mutating func binary(_ value: [UInt8]) { bytes += [0xC4, UInt8(value.count)] + value }

    /// A batch with one event, as vLLM wrote it while structs were arrays.
    static func stored(_ hashes: [UInt64], parent: UInt64?, tokens: [Int32], blockSize: UInt64) -> [UInt8] {
        var pack = KVEventPack()
        pack.array(2)
        pack.double()
        pack.array(1)
        pack.array(5)
        pack.text("BlockStored")
        pack.integers(hashes)
        if let parent { pack.integer(parent) } else { pack.null() }
        pack.integers(tokens.map { UInt64($0) })
        pack.integer(blockSize)
        return pack.bytes
    }
}

@Suite("KV events")
struct KVEventTests {
    private static func stored(_ hashes: [UInt64], parent: UInt64?, tokens: [Int32], blockSize: Int = 4) -> KVEvent {
        var blocks = KVStoredBlocks()
        blocks.hashes = hashes
        blocks.parent = parent
        blocks.tokens = tokens
        blocks.blockSize = blockSize
        return .stored(blocks)
    }

    /// A batch as vLLM wrote it while structs were arrays.
    private static var asArrays: [UInt8] {
        var pack = KVEventPack()
        pack.array(3)
        pack.double()
        pack.array(3)
        pack.array(7)
        pack.text("BlockStored")
        pack.integers([1, 2])
        pack.null()
        pack.integers([1, 2, 3, 4, 5, 6, 7, 300_000])
        pack.integer(4)
        pack.null()
        pack.text("GPU")
        pack.array(2)
        pack.text("BlockRemoved")
        pack.integers([9])
        pack.array(1)
        pack.text("AllBlocksCleared")
        pack.integer(0)
        return pack.bytes
    }

    /// A batch as vLLM writes it now: maps, hashes of 32 bytes, members of later versions.
    private static var asMaps: [UInt8] {
        var pack = KVEventPack()
        pack.map(3)
        pack.text("ts")
        pack.double()
        pack.text("events")
        pack.array(2)
        pack.map(9)
        pack.text("type")
        pack.text("BlockStored")
        pack.text("block_hashes")
        pack.array(1)
        pack.binary([0, 0, 0, 0, 0, 0, 0, 5] + [UInt8](repeating: 7, count: 24))
        pack.text("parent_block_hash")
        pack.binary([0, 0, 0, 0, 0, 0, 0, 4] + [UInt8](repeating: 7, count: 24))
        pack.text("token_ids")
        pack.integers([1, 2])
        pack.text("block_size")
        pack.integer(2)
        pack.text("lora_id")
        pack.null()
        pack.text("medium")
        pack.text("GPU")
        pack.text("lora_name")
        pack.text("sql")
        pack.text("future_member")
        pack.array(1)
        pack.map(1)
        pack.text("a")
        pack.null()
        pack.map(3)
        pack.text("type")
        pack.text("BlockStored")
        pack.text("block_hashes")
        pack.array(0)
        pack.text("medium")
        pack.text("CPU")
        pack.text("data_parallel_rank")
        pack.integer(1)
        return pack.bytes
    }

    @Test("batches of both forms are read; other tiers are left out")
    func read() throws {
        #expect(
            try KVEventBatchReader.read(Self.asArrays) == [
                Self.stored([1, 2], parent: nil, tokens: [1, 2, 3, 4, 5, 6, 7, 300_000]), .removed([9]), .cleared,
            ])
        var expected = KVStoredBlocks()
        expected.hashes = [5]
        expected.parent = 4
        expected.tokens = [1, 2]
        expected.blockSize = 2
        expected.lora = "sql"
        #expect(try KVEventBatchReader.read(Self.asMaps) == [.stored(expected)])
    }

    @Test("a cut batch is an error, wherever it is cut, and never a trap")
    func truncated() {
        for bytes in [Self.asArrays, Self.asMaps] {
            for count in 0..<bytes.count {
                #expect(throws: KVEventError.self) { try KVEventBatchReader.read(Array(bytes.prefix(count))) }
            }
        }
    }

    @Test("the longest prefix an engine holds is found by its tokens, across events")
    func table() {
        var table = KVBlockTable(maximumBlocks: 100)
        let prompt = (1...14).map { Int32($0) }
        table.apply(Self.stored([10, 11], parent: nil, tokens: Array(prompt[0..<8])))
        table.apply(Self.stored([12], parent: 11, tokens: Array(prompt[8..<12])))
        let keys = KVBlockTable.keys(of: prompt, blockSize: 4, lora: nil)
        #expect(keys.count == 3 && table.heldTokens(keys) == 12)
        #expect(table.heldTokens(KVBlockTable.keys(of: [1, 2, 3, 4, 9, 9, 9, 9], blockSize: 4, lora: nil)) == 4)
        #expect(table.heldTokens(KVBlockTable.keys(of: prompt, blockSize: 4, lora: "sql")) == 0)
        table.apply(.removed([12]))
        #expect(table.heldTokens(keys) == 8)
        // A block behind one that is unknown cannot be placed.
        table.apply(Self.stored([20], parent: 99, tokens: [5, 5, 5, 5]))
        #expect(table.count == 2 && table.dropped == 1)
        table.apply(.cleared)
        #expect(table.heldTokens(keys) == 0 && table.count == 0)
    }

    @Test("a table is bounded")
    func bounded() {
        var table = KVBlockTable(maximumBlocks: 1000)
        for block in 0..<5000 as Range<UInt64> {
            table.apply(Self.stored([block], parent: nil, tokens: [Int32(block), 2, 3, 4]))
        }
        #expect(table.count == 1000 && table.dropped == 4000 && table.bytes < 200_000)
    }

    @Test("a gap is replayed, and what cannot be replayed is forgotten")
    func stream() {
        var stream = KVEventStream(canReplay: true)
        #expect(stream.connected() == [.reset, .requestReplay(from: 0)])
        #expect(stream.live(2, [2]).isEmpty)
        #expect(stream.replayed(0, [0]) == [.apply([0])] && stream.replayed(1, [1]) == [.apply([1])])
        // The live batch was published after the replay was read.
        #expect(stream.replayEnded(complete: true) == [.requestReplay(from: 2)])
        #expect(stream.replayed(2, [2]) == [.apply([2])] && stream.replayEnded(complete: true).isEmpty)
        #expect(stream.live(3, [3]) == [.apply([3])] && stream.gaps == 0)
        #expect(stream.live(3, [3]).isEmpty)
        #expect(stream.live(6, [6]) == [.requestReplay(from: 4)] && stream.gaps == 1)
        // Batch 4 has left the engine's memory.
        #expect(stream.replayed(5, [5]) == [.reset, .apply([5])] && stream.replayed(6, [6]) == [.apply([6])])
        #expect(stream.replayEnded(complete: true).isEmpty)
        #expect(stream.live(7, [7]) == [.apply([7])])
        // The engine was restarted.
        #expect(stream.live(0, [0]) == [.reset, .requestReplay(from: 0)])
    }

    @Test("without a replay endpoint a gap costs what is known")
    func noReplay() {
        var stream = KVEventStream(canReplay: false)
        #expect(stream.connected() == [.reset])
        #expect(stream.live(40, [40]) == [.apply([40])] && stream.live(41, [41]) == [.apply([41])])
        #expect(stream.live(43, [43]) == [.reset, .apply([43])])
        #expect(stream.live(0, [0]) == [.reset, .apply([0])] && stream.live(1, [1]) == [.apply([1])])
    }

    @Test("an engine's own word counts more than a guess")
    func policy() {
        let policy = KVEventsPolicy()
        let role = TestRole(3)
        var facts = RequestFacts()
        facts.tokenIDs = (0..<64).map { Int32($0) }
        facts.promptTokens = 64
        var generator = SeededGenerator(seed: 1)
        policy.events.apply(
            [Self.stored([1, 2], parent: nil, tokens: Array(facts.tokenIDs[0..<32]), blockSize: 16)], serial: 2)
        #expect(policy.pick(from: role.candidates(), for: facts, using: &generator) == 2)
        policy.events.apply(
            [Self.stored([1, 2, 3], parent: nil, tokens: Array(facts.tokenIDs[0..<48]), blockSize: 16)], serial: 0)
        #expect(policy.pick(from: role.candidates(), for: facts, using: &generator) == 0)
        policy.events.apply([.cleared], serial: 0)
        #expect(policy.pick(from: role.candidates(), for: facts, using: &generator) == 2)
    }
}

/// Random and broken batches.
@Suite("KV events, random bytes")
struct KVEventFuzzTests {
    @Test("a batch of any bytes is read or refused")
    func random() {
        for seed in 0..<UInt64(Fuzzing.iterations(20_000)) {
            var generator = SeededGenerator(seed: seed)
            let bytes = Fuzzing.bytes(
                [0x93, 0x92, 0x91, 0x80, 0x82, 0xA6, 0xC4, 0xCF, 0xDC, 0xDD, 0x01, 0xC0], upTo: 60, using: &generator)
            if let events = try? KVEventBatchReader.read(bytes) {
                var table = KVBlockTable(maximumBlocks: 10)
                for event in events { table.apply(event) }
                #expect(table.count <= 10, "seed \(seed)")
            }
        }
    }
}
