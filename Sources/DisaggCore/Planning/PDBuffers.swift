/// The PD buffers of a planned layout: the file says them, and the simulated proxy keeps to them.
struct PDBuffers: Sendable, Hashable {
    /// Tokens of a chunk.
    var chunkTokens: Int
    /// Bytes of a chunk in one rank.
    var chunkBytes: Int
    /// Chunks that a decode engine's buffer holds.
    var decodeChunks: Int
    /// Chunks that a prefill engine's buffer holds.
    var prefillChunks: Int

    private static let smallestDecodeBytes = 4 << 30
    private static let smallestPrefillBytes = 2 << 30

    /// Sizes them; nil for a layout or a hand-off without such buffers.
    ///
    /// Room for the longest prompt from each prefill engine, at least for two. Whole chunks: LMCache before 0.4.3 refuses
    /// other sizes.
    init?(_ layout: PlanLayout, _ request: PlanRequest) {
        guard let prefill = layout.prefill, request.handoff == .lmcache else { return nil }
        chunkTokens = request.proxy.chunkTokens
        chunkBytes = max(
            1,
            chunkTokens
                * request.setup.shape.kvBytesPerToken(
                    tensorParallel: layout.decode.tensorParallel, valueBytes: request.setup.kvValueBytes))
        let longest = (request.workload.longestInput + chunkTokens - 1) / chunkTokens
        decodeChunks = max(Self.smallestDecodeBytes / chunkBytes, longest * max(2, prefill.count))
        prefillChunks = max(Self.smallestPrefillBytes / chunkBytes, longest * 2)
    }
}
