extension PlanObjectives {
    /// Reads `ttft=500ms,tpot=50ms`; times without a unit are in ms.
    ///
    /// - Throws: ``CommandError`` that says the form.
    package init(parsing text: String, percentile: Int = 90) throws(CommandError) {
        self.init(percentile: percentile)
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2, let time = Self.milliseconds(pair[1]) else {
                throw CommandError("--slo: expected ttft=500ms,tpot=50ms, got \"\(text)\"")
            }
            switch pair[0] {
            case "ttft": ttft = time
            case "tpot": tpot = time
            default: throw CommandError("--slo: there are ttft and tpot, not \"\(pair[0])\"")
            }
        }
        guard ttft != nil || tpot != nil else {
            throw CommandError("--slo: expected ttft=500ms,tpot=50ms, got \"\(text)\"")
        }
    }

    private static func milliseconds(_ text: String) -> Double? {
        var number = text
        var scale = 1.0
        if number.hasSuffix("ms") {
            number.removeLast(2)
        } else if number.hasSuffix("s") {
            number.removeLast()
            scale = 1_000
        }
        guard let value = Double(number), value > 0, value * scale <= 1e9 else { return nil }
        return value * scale
    }
}
