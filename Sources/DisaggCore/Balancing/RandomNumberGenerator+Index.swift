extension RandomNumberGenerator {
    /// A number in `0..<count`, all alike to within `count` of 2^64.
    ///
    /// `Int.random(in:using:)` draws again for the rest, and where the generator's type is not known it looks up types and
    /// conformances for each number: 1,700 instructions, a policy's whole budget.
    @inline(__always)
    mutating func index(below count: Int) -> Int {
        Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(truncatingIfNeeded: count)).high)
    }

    /// A number from 0 up to 1, 1 excluded.
    @inline(__always)
    mutating func share() -> Double { Double(next() &>> 11) * 0x1p-53 }
}
