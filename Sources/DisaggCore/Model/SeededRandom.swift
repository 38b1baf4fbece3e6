/// SplitMix64: the same numbers for the same seed on every run and machine (Steele, Lea, Flood 2014).
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Creates a generator.
    ///
    /// - Parameter stream: generators of one seed with different streams are independent.
    package init(seed: UInt64, stream: UInt64 = 0) {
        state = seed
        // Streams a golden ratio apart would be one sequence shifted: each starts from a mixed state.
        state = next() ^ (stream &* 0xD6E8_FEB8_6659_FD93)
        state = next()
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// A number above 0 and below 1.
    package mutating func unit() -> Double { (Double(next() >> 12) + 0.5) * 0x1p-52 }
}
