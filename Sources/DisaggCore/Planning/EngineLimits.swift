/// What bounds one engine's batches.
public struct EngineLimits: Sendable, Hashable {
    /// Tokens one step takes (`max_num_batched_tokens`).
    public var batchedTokens: Int
    /// Requests that run at once (`max_num_seqs`).
    public var sequences: Int
    /// Tokens that the KV cache holds.
    public var kvTokens: Int
    /// Whether a prompt may be computed in pieces; without, one that does not fit waits for the next step.
    public var chunksPrompts = true
    /// Tokens that a PD buffer holds for arrivals that have not joined yet.
    public var bufferTokens = Int.max
    /// Added to each step, in ms: what a KV connector costs.
    public var stepMilliseconds = 0.0

    /// Creates limits.
    public init(batchedTokens: Int, sequences: Int, kvTokens: Int) {
        self.batchedTokens = batchedTokens
        self.sequences = sequences
        self.kvTokens = kvTokens
    }

    /// vLLM's limits for an engine with that KV cache.
    public init(_ setup: EngineSetup, kvTokens: Int) {
        self.init(batchedTokens: setup.maximumBatchedTokens, sequences: setup.maximumSequences, kvTokens: kvTokens)
    }
}
