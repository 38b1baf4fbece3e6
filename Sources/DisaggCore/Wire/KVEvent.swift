/// A change of an engine's prefix cache, as vLLM publishes it.
///
/// Source: vLLM `distributed/kv_events.py`: msgspec structs, encoded as arrays up to 0.1x and as maps later; both are read.
package enum KVEvent: Sendable, Hashable {
    /// Blocks were computed. `hashes` are the engine's own; each block has `blockSize` of the tokens.
    case stored(KVStoredBlocks)
    /// Blocks are gone.
    case removed([UInt64])
    /// All blocks are gone.
    case cleared
}

/// Blocks that follow one another in a prompt.
package struct KVStoredBlocks: Sendable, Hashable {
    /// The engine's hash of each block; of a longer hash its first eight bytes.
    package var hashes: [UInt64] = []
    /// The block before the first one; nil where that is a prompt's first.
    package var parent: UInt64?
    /// The tokens of all blocks, one after another.
    package var tokens: [Int32] = []
    /// Tokens of a block.
    package var blockSize = 0
    /// The LoRA adapter the blocks were computed with; nil for the model itself.
    package var lora: String?
    /// Something else than tokens is part of the hash (an image, a salt): the block cannot be found by its tokens.
    package var hasExtraKeys = false

    package init() {}
}

/// Why a batch of events cannot be used.
package enum KVEventError: Error, Sendable, Equatable {
    case malformed(MessagePackError)
    /// It is MessagePack, and no batch of events.
    case unexpected
}
