extension Deployment {
    /// KV chunks that may be on their way to one decoder, or wait there to be used; nil where nothing bounds them.
    ///
    /// Only LMCache's receive buffer has no eviction. Its pages are `pd_buffer_size` over the bytes of a chunk in one rank,
    /// a part of a page being lost; the shape of an unknown model gives no number.
    package var decodeChunks: Int? {
        guard handoff == .lmcache else { return nil }
        if let chunks = admission.chunks { return chunks > 0 ? chunks : nil }
        guard let chunk = LMCacheFile.chunkBytes(self), chunk > 0 else { return nil }
        return max(1, LMCacheFile.bufferBytes(self, .decode) / chunk)
    }
}
