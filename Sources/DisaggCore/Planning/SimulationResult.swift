/// When each simulated request got its first and its last token, or that it was refused, and how busy the engines were.
public struct SimulationResult: Sendable, Hashable {
    /// Times of the first tokens, in ms, by request; 0 for one that was refused.
    public internal(set) var firstToken: [Double]
    /// Times of the last tokens, in ms, by request; 0 for one that was refused.
    public internal(set) var end: [Double]
    /// By request, whether the proxy answered 429: its queue was full, or no engine had room for too long.
    public internal(set) var refused: [Bool]
    /// Time each prefill engine spent in steps, in ms; empty where there are none.
    public internal(set) var prefillBusy: [Double] = []
    /// Time each decode engine spent in steps, in ms.
    public internal(set) var decodeBusy: [Double] = []
    /// The most KV tokens reserved at once on one decode engine.
    public internal(set) var peakKVTokens = 0

    init(count: Int) {
        firstToken = Array(repeating: 0, count: count)
        end = Array(repeating: 0, count: count)
        refused = Array(repeating: false, count: count)
    }
}
