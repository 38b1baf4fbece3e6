/// Latencies a request must stay within to count as goodput.
package struct ServiceObjectives: Sendable, Hashable {
    /// Time to the first token.
    package var ttft: Duration?
    /// Mean time between the tokens after it.
    package var tpot: Duration?
    /// Time to the end of the answer.
    package var e2e: Duration?

    /// No objectives.
    package init() {}

    /// Reads `ttft=500ms,tpot=50ms,e2e=20s`.
    ///
    /// - Throws: ``CommandError`` that names the part.
    package init(_ text: String) throws(CommandError) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, let value = Self.duration(sides[1]) else {
                throw CommandError(
                    "--slo: \"\(part)\" is no objective; expected for example ttft=500ms,tpot=50ms,e2e=20s")
            }
            switch sides[0] {
            case "ttft": ttft = value
            case "tpot": tpot = value
            case "e2e", "e2el": e2e = value
            default: throw CommandError("--slo: there is no objective \"\(sides[0])\"; there are ttft, tpot and e2e")
            }
        }
    }

    /// Whether anything is demanded.
    package var isEmpty: Bool { ttft == nil && tpot == nil && e2e == nil }

    /// Whether a request kept what it has a value for; an answer of one token has no time between tokens.
    func areMet(ttft: Int?, tpot: Int?, e2e: Int) -> Bool {
        func met(_ limit: Duration?, _ nanoseconds: Int?) -> Bool {
            guard let limit, let nanoseconds else { return true }
            return Duration.nanoseconds(nanoseconds) <= limit
        }
        return met(self.ttft, ttft) && met(self.tpot, tpot) && met(self.e2e, e2e)
    }

    /// A number with `us`, `ms` or `s`; without one it is in milliseconds, as in vLLM's benchmark.
    private static func duration(_ text: Substring) -> Duration? {
        let units: [(String, Double)] = [("us", 1e-6), ("ms", 1e-3), ("s", 1)]
        let unit = units.first { text.hasSuffix($0.0) }
        guard let number = Double(text.dropLast(unit?.0.count ?? 0)), number > 0, number <= 1e6 else { return nil }
        return .seconds(number * (unit?.1 ?? 1e-3))
    }
}
