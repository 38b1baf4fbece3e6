/// Cuts a prompt into blocks whose size grows with their place, and chains their hashes.
///
/// The key of a block names it and all before it, so equal keys mean equal prefixes, and a flat table of keys is a prefix
/// tree. Sizes double every eight blocks (256 bytes, 512, …): a prefix's length is known to an eighth at worst, and a
/// prompt of any length has at most ``maximumBlocks`` keys, so that tables and the time of a pick stay small for prompts of
/// a hundred thousand tokens.
package enum PrefixBlocks {
    /// Most blocks of a prompt: together 510 KiB.
    package static let maximumBlocks = 64
    /// Bytes of each of the first eight blocks.
    package static let firstBlockBytes = 256
    /// Bytes that one token of text takes, for estimates.
    package static let bytesPerToken = 4
    private static let blocksOfOneSize = 8

    /// Length in bytes of the first `count` blocks.
    package static func bytes(ofFirst count: Int) -> Int {
        var left = max(0, min(count, maximumBlocks))
        var size = firstBlockBytes
        var total = 0
        while left > 0 {
            total += min(left, blocksOfOneSize) * size
            left -= min(left, blocksOfOneSize)
            size *= 2
        }
        return total
    }

    /// Length in bytes of the block at that place, the first being 0.
    @inline(__always)
    static func bytes(ofBlock index: Int) -> Int { firstBlockBytes << (index / blocksOfOneSize) }

    /// Length of the first `count` blocks in tokens.
    package static func tokens(ofFirst count: Int) -> Int { bytes(ofFirst: count) / bytesPerToken }

    /// Appends the keys of a prompt's whole blocks; a last part that fills no block has none.
    ///
    /// - Parameter namespace: seeds the chain: what separates caches.
    package static func appendKeys(of bytes: UnsafeRawBufferPointer, namespace: UInt64, to keys: inout [UInt64]) {
        var key = namespace
        var start = 0
        for block in 0..<maximumBlocks {
            let size = Self.bytes(ofBlock: block)
            guard start + size <= bytes.count else { return }
            key = StableHash.hash(UnsafeRawBufferPointer(rebasing: bytes[start..<start + size]), seed: key)
            keys.append(key)
            start += size
        }
    }
}
