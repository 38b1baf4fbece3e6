/// One measurement of an engine, as a calibration file holds it.
public struct CalibrationRow: Sendable, Hashable {
    /// What was measured.
    public enum Kind: Sendable, Hashable {
        /// Time to the first token of one prompt of that many tokens, on an idle engine.
        case prompt(tokens: Int)
        /// Time between tokens with that many requests running, each with that many KV tokens.
        case decode(batch: Int, context: Int)
    }

    /// Its name in the file.
    public var name: String
    /// What was measured.
    public var kind: Kind
    /// Whether the engine ran with `--enforce-eager`.
    public var isEager: Bool
    /// The result.
    public var milliseconds: Double
    /// Measurements it is the mean of.
    public var count: Int

    /// Creates a row.
    public init(name: String, kind: Kind, isEager: Bool, milliseconds: Double, count: Int) {
        self.name = name
        self.kind = kind
        self.isEager = isEager
        self.milliseconds = milliseconds
        self.count = count
    }

    /// How far off the row may be, relative: what the machine's noise is where nothing repeats it.
    ///
    /// Times of the GPU repeat within 3 %. Times of the host do not: the same engine was seen to launch a step in 15 and
    /// in 21 ms, in phases of seconds, so what the host decides counts less: eager prompts that the GPU computes faster
    /// than the host launches them, and eager steps of few requests. A single prompt without a warm-up is hardly a
    /// measurement. Of the spreads that agree with this, those are taken that leave-one-out prefers.
    var spread: Double {
        switch kind {
        case .prompt(let tokens):
            if count < 2 { return 0.15 }
            if tokens >= 2_048 { return 0.03 }
            return isEager ? 0.13 : 0.06
        case .decode(let batch, _):
            if !isEager { return 0.03 }
            return batch < 4 ? 0.12 : 0.06
        }
    }

    /// Whether the row is a by-product of another one: ``name`` then ends in parentheses that say what of.
    var isDerived: Bool { name.hasSuffix(")") }
    static let firstTokenSuffix = " (first token)"
    static let nextTokensSuffix = " (next tokens)"
    /// Prompts beyond this many tokens keep the first token waiting in the API server, which shortens what follows.
    private static let longestWithNextTokens = 4_096

    /// What a model says about the row.
    public func predicted(by model: CostModel) -> Double {
        switch kind {
        case .prompt(let tokens): model.promptMilliseconds(tokens: tokens)
        case .decode(let batch, let context): model.decodeMilliseconds(batch: batch, context: context)
        }
    }

    /// The rows of a measurement of that name: `eager_prefill_isl1024` or `graph_decode_c16_isl512`; none for others.
    ///
    /// A decode row of one request also tells a time to a first token. Its KV holds the prompt and, where the late
    /// tokens are timed, about 84 of the 96 answered ones. The tokens after an eager prompt's first one tell what a
    /// step of one request takes.
    ///
    /// - Parameter betweenTokens: median time between tokens, in ms. A mean would hold the first gap, which a late first
    ///   token shortens.
    static func rows(
        name: String, count: Int, firstToken: Double?, betweenTokens: Double?, answered: Int = 96
    ) -> [CalibrationRow] {
        let parts = name.split(separator: "_").map(String.init)
        guard parts.count >= 3, let isEager = ["eager": true, "graph": false][parts[0]] else { return [] }
        func number(_ text: String, after prefix: String) -> Int? {
            guard text.hasPrefix(prefix), let value = Int(text.dropFirst(prefix.count)),
                (1...10_000_000).contains(value)
            else { return nil }
            return value
        }
        func isTime(_ value: Double?) -> Double? {
            guard let value, value.isFinite, value > 0, value < 1e7 else { return nil }
            return value
        }
        switch (parts[1], parts.count) {
        case ("prefill", 3):
            guard let tokens = number(parts[2], after: "isl"), let time = isTime(firstToken) else { return [] }
            var rows = [
                CalibrationRow(
                    name: name, kind: .prompt(tokens: tokens), isEager: isEager, milliseconds: time, count: count)
            ]
            if isEager, tokens <= longestWithNextTokens, let next = isTime(betweenTokens) {
                rows.append(
                    .init(
                        name: name + nextTokensSuffix, kind: .decode(batch: 1, context: tokens), isEager: true,
                        milliseconds: next, count: count))
            }
            return rows
        case ("decode", 4):
            guard let batch = number(parts[2], after: "c"), batch <= 100_000,
                let tokens = number(parts[3], after: "isl"),
                let time = isTime(betweenTokens)
            else { return [] }
            let context = tokens + max(0, answered - 12)
            var rows = [
                CalibrationRow(
                    name: name, kind: .decode(batch: batch, context: context), isEager: isEager, milliseconds: time,
                    count: count)
            ]
            if batch == 1, let first = isTime(firstToken) {
                rows.append(
                    .init(
                        name: name + firstTokenSuffix, kind: .prompt(tokens: tokens), isEager: isEager,
                        milliseconds: first, count: 1))
            }
            return rows
        default: return []
        }
    }
}
