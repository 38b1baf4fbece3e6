/// The prefix blocks one engine holds, exactly: fed by its events, asked by token ids.
///
/// The engine's hashes are its own affair (their function and seed are settings), so each stored block gets a key of ours,
/// chained over its tokens; the engine's hash is only kept to find the block again when it is removed or continued.
package struct KVBlockTable: Sendable {
    private let maximumBlocks: Int
    /// Our key of each of the engine's hashes.
    private var keys: [UInt64: UInt64] = [:]
    /// How many of the engine's blocks have that key.
    private var counts: [UInt64: Int32] = [:]
    /// Tokens of a block, as the engine says; nil until it said.
    package private(set) var blockSize: Int?
    /// Blocks that were not taken in: beyond the limit, or behind a block that is unknown.
    package private(set) var dropped = 0

    /// - Parameter maximumBlocks: most blocks it holds: an engine has its KV cache's size over 16 tokens of them.
    package init(maximumBlocks: Int) { self.maximumBlocks = maximumBlocks }

    /// Blocks it holds.
    package var count: Int { keys.count }

    /// Bytes of the tables, about.
    package var bytes: Int {
        keys.capacity * (2 * MemoryLayout<UInt64>.stride + 1)
            + counts.capacity * (MemoryLayout<UInt64>.stride + MemoryLayout<Int32>.stride + 1)
    }

    /// Forgets everything.
    package mutating func reset() {
        keys.removeAll()
        counts.removeAll()
    }

    /// Takes an event in.
    package mutating func apply(_ event: KVEvent) {
        switch event {
        case .cleared: reset()
        case .removed(let hashes): for hash in hashes { remove(hash) }
        case .stored(let blocks): store(blocks)
        }
    }

    private mutating func remove(_ hash: UInt64) {
        guard let key = keys.removeValue(forKey: hash), let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
    }

    private mutating func store(_ blocks: KVStoredBlocks) {
        guard !blocks.hasExtraKeys else { return }
        var key: UInt64
        if let parent = blocks.parent {
            guard let known = keys[parent] else {
                dropped += blocks.hashes.count
                return
            }
            key = known
        } else {
            key = Self.root(lora: blocks.lora)
        }
        blockSize = blocks.blockSize
        var start = 0
        for hash in blocks.hashes {
            let end = start + blocks.blockSize
            guard end <= blocks.tokens.count else { return }
            key = Self.key(after: key, blocks.tokens[start..<end])
            start = end
            guard keys[hash] == nil else { continue }
            guard keys.count < maximumBlocks else {
                dropped += 1
                continue
            }
            keys[hash] = key
            counts[key, default: 0] += 1
        }
    }

    /// The key that a prompt's first block follows.
    package static func root(lora: String?) -> UInt64 { lora.map { StableHash.hash($0, seed: 11) } ?? 11 }

    /// The key of a block behind another.
    package static func key(after key: UInt64, _ tokens: some Sequence<Int32>) -> UInt64 {
        tokens.reduce(StableHash.mix(key, 13)) { StableHash.mix($0, UInt64(UInt32(bitPattern: $1)) &+ 1) }
    }

    /// The keys of a prompt's whole blocks.
    package static func keys(of tokens: [Int32], blockSize: Int, lora: String?) -> [UInt64] {
        guard blockSize > 0 else { return [] }
        var key = root(lora: lora)
        return stride(from: blockSize, through: tokens.count, by: blockSize).map { end in
            key = Self.key(after: key, tokens[end - blockSize..<end])
            return key
        }
    }

    /// Tokens of the longest prefix that is held.
    ///
    /// Engines give up the end of a prompt first, so what is held is a prefix, and it is found by halving: logarithmic in
    /// the number of blocks.
    package func heldTokens(_ keys: [UInt64]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high + 1) / 2
            if counts[keys[middle - 1]] != nil { low = middle } else { high = middle - 1 }
        }
        return low * (blockSize ?? 0)
    }
}
