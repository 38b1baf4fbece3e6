#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// When the requests of an open loop arrive: gaps drawn from a gamma distribution, as vLLM's `benchmark_serving` does.
///
/// The shape is the burstiness: 1 is a Poisson process, below 1 arrivals come in bursts, above 1 they are more even, and
/// infinity is a constant gap. The mean rate is the same for all.
package struct ArrivalProcess: Sendable {
    private let meanNanoseconds: Double
    private let shape: Double
    private var random: SeededRandom

    /// Creates a process.
    ///
    /// - Parameters:
    ///   - rate: requests a second, above 0.
    ///   - burstiness: the shape, above 0.
    package init(rate: Double, burstiness: Double = 1, seed: UInt64) {
        meanNanoseconds = 1e9 / rate
        shape = burstiness
        random = SeededRandom(seed: seed, stream: 1)
    }

    /// Nanoseconds from one arrival to the next.
    package mutating func nextGap() -> Int {
        guard shape.isFinite else { return Int(meanNanoseconds) }
        let gap = gamma(shape) / shape * meanNanoseconds
        // A rate of one request in a million years is nobody's wish; the bound keeps the conversion defined.
        return Int(min(gap, 1e18))
    }

    /// A gamma variate of scale 1 (Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000).
    private mutating func gamma(_ shape: Double) -> Double {
        if shape == 1 { return -log(random.unit()) }
        // Their remark for shapes below 1: draw for one more, then scale down.
        if shape < 1 { return gamma(shape + 1) * pow(random.unit(), 1 / shape) }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal()
            let base = 1 + c * x
            guard base > 0 else { continue }
            let v = base * base * base
            if log(random.unit()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }

    /// A normal variate (Box and Muller, one of the pair).
    private mutating func normal() -> Double {
        (-2 * log(random.unit())).squareRoot() * cos(2 * .pi * random.unit())
    }
}
