/// Chained hashes of a prompt's chunks: LMCache's cache keys.
enum ChunkKeys {
    /// One key a chunk, the last chunk may be partial.
    ///
    /// - Parameters:
    ///   - worldSize: part of the key, as `world_size@worker_id` is of LMCache's: engines of another tensor-parallel size
    ///     can never hit.
    ///   - rank: rank of the worker.
    static func keys(of tokens: some Collection<Int>, chunkTokens: Int, worldSize: Int, rank: Int) -> [Int] {
        var hash = TokenHistory.mix(UInt64(truncatingIfNeeded: worldSize << 16 | rank))
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
}
