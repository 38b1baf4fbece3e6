#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// How long prompts or answers are, in tokens.
public enum LengthDistribution: Sendable, Hashable {
    /// All alike.
    case constant(Int)
    /// Every length between two as often.
    case uniform(ClosedRange<Int>)
    /// Log-normal with a mean and a coefficient of variation: real traces have long tails.
    case logNormal(mean: Double, variation: Double)

    /// The longest length that is drawn.
    public static let maximum = 4_000_000

    /// Reads `7500`, `1000-2000`, or `1155~0.8` (mean and coefficient of variation).
    ///
    /// - Throws: ``CommandError`` for other text.
    package init(_ text: String, option: String) throws(CommandError) {
        func tokens(_ text: some StringProtocol) -> Int? {
            Int(text).flatMap { (1...Self.maximum).contains($0) ? $0 : nil }
        }
        if let value = tokens(text) {
            self = .constant(value)
            return
        }
        let range = text.split(separator: "-", maxSplits: 1)
        if range.count == 2, let low = tokens(range[0]), let high = tokens(range[1]), low <= high {
            self = .uniform(low...high)
            return
        }
        let normal = text.split(separator: "~", maxSplits: 1)
        if normal.count == 2, let mean = tokens(normal[0]), let variation = Double(normal[1]),
            (0...10).contains(variation)
        {
            self = variation == 0 ? .constant(mean) : .logNormal(mean: Double(mean), variation: variation)
            return
        }
        throw CommandError(
            "\(option): expected tokens (7500), a range (1000-2000), or a mean and a coefficient of variation "
                + "(1155~0.8), got \"\(text)\"")
    }

    /// The mean, in tokens.
    public var mean: Double {
        switch self {
        case .constant(let value): Double(value)
        case .uniform(let range): Double(range.lowerBound + range.upperBound) / 2
        case .logNormal(let mean, _): mean
        }
    }

    /// A length that all but about one in a thousand stay below.
    public var longest: Int {
        switch self {
        case .constant(let value): value
        case .uniform(let range): range.upperBound
        case .logNormal(let mean, let variation):
            {
                let sigma = log(1 + variation * variation).squareRoot()
                return Int(min(Double(Self.maximum), mean * exp(3.09 * sigma - sigma * sigma / 2)))
            }()
        }
    }

    /// Draws one.
    func next(_ random: inout SeededRandom) -> Int {
        switch self {
        case .constant(let value): return value
        case .uniform(let range): return Int.random(in: range, using: &random)
        case .logNormal(let mean, let variation):
            let sigma = log(1 + variation * variation).squareRoot()
            let normal = (-2 * log(random.unit())).squareRoot() * cos(2 * .pi * random.unit())
            return max(1, min(Self.maximum, Int((mean * exp(sigma * normal - sigma * sigma / 2)).rounded())))
        }
    }
}
