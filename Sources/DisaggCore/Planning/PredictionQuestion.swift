/// The one question that `disagg-launch predict` is asked, as its options say it.
package struct PredictionQuestion: Sendable {
    package var engine: EngineDescription
    package var prefillTokens: Int?
    package var decodeBatch: Int?
    package var contextTokens: Int?
    package var asksCapacity = false
    /// Load and hand-off of a whole deployment, and the memory that an engine may take.
    package var load = LoadDescription(burstiness: "even", firstToken: "prefill")
    package var prefills = 1
    package var decodes = 1
    package var requests = 2_000

    package init(engine: EngineDescription) { self.engine = engine }

    /// Answers it.
    ///
    /// - Throws: ``CommandError`` where no question, or more than one, is asked, or a value is out of its range.
    package func answer(asJSON: Bool) throws(CommandError) -> String {
        let asked = [prefillTokens != nil, decodeBatch != nil, asksCapacity, load.input != nil || load.trace != nil]
            .filter { $0 }.count
        guard asked == 1 else {
            throw CommandError(
                "\(asked == 0 ? "nothing is asked" : "\(asked) questions are asked at once"); give one of --prefill-tokens, "
                    + "--decode-batch with --context-tokens, --isl with --osl and --rate, --trace, or --kv-capacity")
        }
        let utilization = try load.checkedUtilization()
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
        guard load.trace != nil || load.output != nil && load.rate != nil else {
            throw CommandError("a deployment's question needs --isl, --osl and --rate, or --trace")
        }
        try check("--prefill", prefills, 0...1_000)
        try check("--decode", decodes, 1...1_000)
        try check("--requests", requests, 10...1_000_000)
        var question = ServingQuestion(
            workload: try load.workload(), prefills: prefills, decodes: decodes, handoff: try load.handoffKind())
        question.firstToken = try load.firstTokenSource()
        question.objectives = try load.planObjectives()
        question.utilization = load.utilization
        question.proxy = try load.proxy()
        question.count = requests
        question.seed = load.seed
        return question
    }

    private func check(_ option: String, _ value: Int, _ range: ClosedRange<Int>) throws(CommandError) {
        guard range.contains(value) else {
            throw CommandError("\(option): expected \(range.lowerBound)...\(range.upperBound), got \(value)")
        }
    }
}
