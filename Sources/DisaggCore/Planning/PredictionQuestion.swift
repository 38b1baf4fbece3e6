/// The one question that `disagg-launch predict` is asked, as its options say it.
package struct PredictionQuestion: Sendable {
    package var engine: EngineDescription
    package var prefillTokens: Int?
    package var decodeBatch: Int?
    package var contextTokens: Int?
    package var asksCapacity = false
    package var utilization = 0.9
    package var input: String?
    package var output: String?
    package var rate: Double?
    /// `even` or a number.
    package var burstiness = "even"
    package var prefills = 1
    package var decodes = 1
    package var handoff = "lmcache"
    package var firstToken = "prefill"
    /// `ttft=500ms,tpot=50ms`.
    package var objectives: String?
    package var requests = 2_000
    package var seed: UInt64 = 0

    package init(engine: EngineDescription) { self.engine = engine }

    /// Answers it.
    ///
    /// - Throws: ``CommandError`` where no question, or more than one, is asked, or a value is out of its range.
    package func answer(asJSON: Bool) throws(CommandError) -> String {
        let asked = [prefillTokens != nil, decodeBatch != nil, asksCapacity, input != nil].filter { $0 }.count
        guard asked == 1 else {
            throw CommandError(
                "\(asked == 0 ? "nothing is asked" : "\(asked) questions are asked at once"); give one of --prefill-tokens, "
                    + "--decode-batch with --context-tokens, --isl with --osl and --rate, or --kv-capacity")
        }
        guard utilization > 0, utilization <= 1 else {
            throw CommandError("--gpu-memory-utilization: expected above 0 and at most 1, got \(utilization)")
        }
        let predictor = try engine.predictor()
        if let prefillTokens {
            try check("--prefill-tokens", prefillTokens, 1...10_000_000)
            let prediction = predictor.prompt(tokens: prefillTokens)
            return asJSON
                ? PredictionReport.json("prefillMilliseconds", prediction)
                : PredictionReport.text("time to the first token of \(prefillTokens) prompt tokens", prediction)
        }
        if let decodeBatch {
            guard let contextTokens else {
                throw CommandError("--decode-batch needs --context-tokens: how many KV tokens each request has")
            }
            try check("--decode-batch", decodeBatch, 1...65_536)
            try check("--context-tokens", contextTokens, 0...10_000_000)
            let prediction = predictor.step(batch: decodeBatch, context: contextTokens)
            return asJSON
                ? PredictionReport.json("stepMilliseconds", prediction)
                : PredictionReport.text(
                    "step of \(decodeBatch) requests with \(contextTokens) KV tokens each", prediction)
        }
        if asksCapacity {
            let budget = MemoryBudget(predictor.setup, utilization: utilization)
            let basis = "memory of \(predictor.setup.gpu.name) as CUDA sees it, vLLM 0.24's profile run"
            return asJSON ? PredictionReport.json(budget, basis: basis) : PredictionReport.text(budget)
        }
        let question = try serving()
        let answer = try question.answer(prefill: predictor, decode: predictor)
        return asJSON ? PredictionReport.json(answer, question) : PredictionReport.text(answer, question)
    }

    private func serving() throws(CommandError) -> ServingQuestion {
        guard let input, let output, let rate else {
            throw CommandError("a deployment's question needs --isl, --osl and --rate")
        }
        guard rate > 0, rate <= 1e6 else {
            throw CommandError("--rate: expected requests a second above 0, at most 1000000, got \(rate)")
        }
        try check("--prefill", prefills, 0...1_000)
        try check("--decode", decodes, 1...1_000)
        try check("--requests", requests, 10...1_000_000)
        guard let kind = HandoffKind(rawValue: handoff) else {
            throw CommandError(
                "--handoff: expected \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(handoff)\""
            )
        }
        guard let source = FirstTokenSource(rawValue: firstToken) else {
            throw CommandError("--first-token: expected prefill or decode, got \"\(firstToken)\"")
        }
        let workload = Workload(
            input: try LengthDistribution(input, option: "--isl"),
            output: try LengthDistribution(output, option: "--osl"),
            rate: rate, burstiness: try Self.burstiness(burstiness))
        var question = ServingQuestion(workload: workload, prefills: prefills, decodes: decodes, handoff: kind)
        question.firstToken = source
        question.utilization = utilization
        question.count = requests
        question.seed = seed
        if let objectives { question.objectives = try PlanObjectives(parsing: objectives) }
        return question
    }

    /// `even`, or the shape of a gamma distribution.
    package static func burstiness(_ text: String) throws(CommandError) -> Double {
        if text == "even" { return .infinity }
        if text == "poisson" { return 1 }
        guard let value = Double(text), value > 0 else {
            throw CommandError("--burstiness: expected even, poisson or a number above 0, got \"\(text)\"")
        }
        return value
    }

    private func check(_ option: String, _ value: Int, _ range: ClosedRange<Int>) throws(CommandError) {
        guard range.contains(value) else {
            throw CommandError("\(option): expected \(range.lowerBound)...\(range.upperBound), got \(value)")
        }
    }
}
