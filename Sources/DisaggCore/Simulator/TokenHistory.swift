/// A running hash of all tokens so far, prompt included: the whole state the next token depends on.
///
/// Continuing from prompt + first token therefore gives what the engine that made the first token would have given.
package struct TokenHistory: Sendable {
    private(set) var hash: UInt64 = 0x51D7_348A_99C2_0E63
    /// Bytes at the end that start a UTF-8 sequence and do not complete it.
    private(set) var pending: [UInt8] = []

    package init() {}

    /// The history of a whole prompt.
    package init(_ tokens: [Int], vocabulary: SimulatedVocabulary = .shared) {
        for token in tokens { hash = Self.step(hash, token) }
        // Four bytes hold the longest sequence; a token has at least one byte, but for control tokens.
        let tail = tokens.suffix(4).flatMap { vocabulary.bytes(of: $0) }.suffix(4)
        pending = Array(tail.suffix(IncrementalDetokenizer.incompleteSuffixLength(tail)))
    }

    /// Adds a token.
    package mutating func append(_ token: Int, vocabulary: SimulatedVocabulary = .shared) {
        hash = Self.step(hash, token)
        let tail = pending + vocabulary.bytes(of: token)
        pending = Array(tail.suffix(IncrementalDetokenizer.incompleteSuffixLength(tail)))
    }

    private static func step(_ hash: UInt64, _ token: Int) -> UInt64 {
        mix(hash ^ UInt64(truncatingIfNeeded: token) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
