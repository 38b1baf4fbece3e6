/// Chained hashes of a prompt's chunks: LMCache's cache keys.
enum ChunkKeys {
    /// One key a chunk, the last chunk may be partial.
    ///
    /// - Parameters:
    ///   - worldSize: part of the key, as `world_size@worker_id` is of LMCache's: engines of another tensor-parallel size
    ///     can never hit.
    ///   - rank: rank of the worker.
    ///   - tags: see ``tags(of:)``.
    static func keys(
        of tokens: some Collection<Int>, chunkTokens: Int, worldSize: Int, rank: Int, tags: UInt64 = 0
    ) -> [Int] {
        var hash = TokenHistory.mix(UInt64(truncatingIfNeeded: worldSize << 16 | rank) ^ tags)
        var keys: [Int] = []
        var inChunk = 0
        for token in tokens {
            hash = TokenHistory.mix(hash ^ UInt64(truncatingIfNeeded: token))
            inChunk += 1
            if inChunk == chunkTokens {
                // 59 bits: a JSON integer every reader can hold.
                keys.append(Int(hash >> 5))
                inChunk = 0
            }
        }
        if inChunk > 0 { keys.append(Int(hash >> 5)) }
        return keys
    }

    /// The `lmcache.tag.*` members of `kv_transfer_params` as a number that does not depend on their order; 0 for none.
    ///
    /// Tags are part of every key, so both legs must carry the same: LMCache 0.5.6 `utils.py` 428-475.
    static func tags(of transfer: JSONView?) -> UInt64 {
        var sum: UInt64 = 0
        transfer?.forEachMember { name, value in
            guard name.hasPrefix("lmcache.tag.") else { return }
            var hash: UInt64 = 0x7A65
            for byte in Array(name.utf8) + Array(value.rawString.utf8) { hash = TokenHistory.mix(hash ^ UInt64(byte)) }
            sum &+= hash
        }
        return sum
    }
}
