/// A pair that a policy chose.
public struct PairChoice: Sendable, Hashable {
    /// Index of the prefill candidate.
    public var prefill: Int
    /// Index of the decode candidate.
    public var decode: Int
    /// Tokens of the prompt that the prefill backend is thought to have cached: they are not counted as queued there.
    public var cachedTokens: Int

    /// Creates a choice.
    public init(prefill: Int, decode: Int, cachedTokens: Int = 0) {
        self.prefill = prefill
        self.decode = decode
        self.cachedTokens = cachedTokens
    }
}
