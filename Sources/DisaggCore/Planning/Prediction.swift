#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// A predicted number, with the range in which nine of ten measurements should lie, and what it rests on.
public struct Prediction: Sendable, Hashable {
    /// The prediction.
    public var value: Double
    /// Lower end of the range.
    public var low: Double
    /// Upper end of the range.
    public var high: Double
    /// What it rests on.
    public var basis: String

    /// Creates a prediction from a relative standard deviation.
    public init(_ value: Double, deviation: Double, basis: String) {
        self.value = value
        let factor = exp(1.645 * max(0, deviation))
        low = value / factor
        high = value * factor
        self.basis = basis
    }
}
