import DisaggCore

/// What engines reported of their memory, beside the planner's budget.
enum MemoryReports {
    /// What was reported.
    enum Report {
        /// Tokens of KV cache.
        case tokens(Double)
        /// Memory of the KV cache of one rank, in GiB.
        case gib(Double)
        case doesNotFit
    }

    struct Case {
        var model: String
        var ranks: Int
        var gpu: String
        var utilization: Double
        var report: Report
        var source: String
        var profile = MemoryBudget.Profile.beforeGraphs
        var dataType = "auto"
        var kvDataType = "auto"
        var isEager = false
        var buffer = 0
        var limits: (batchedTokens: Int, sequences: Int)?
    }

    struct Outcome {
        var report: Case
        var budget: MemoryBudget
        /// Relative error of the KV cache; nil where the engine does not fit.
        var error: Double?
        var agrees: Bool
    }

    private static let llama = "meta-llama/Llama-3.1-8B-Instruct"
    private static let seventy = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
    /// Start-up logs of 58 engines.
    private static let runs = "vLLM 0.19, llm-d-incubation/llm-d-planner pull request 205"
    private static let older = "vLLM 0.11, llm-d/llm-d-benchmark `empirical-vllm-memory-results.md`"

    /// One of the runs on H100 at 95 %.
    private static func run(
        _ model: String, _ ranks: Int, tokens: Double, dataType: String = "auto", kvDataType: String = "auto"
    ) -> Case {
        Case(
            model: model, ranks: ranks, gpu: "H100", utilization: 0.95, report: .tokens(tokens), source: runs,
            dataType: dataType, kvDataType: kvDataType)
    }

    private static func older(_ model: String, _ ranks: Int, _ report: Report) -> Case {
        Case(
            model: model, ranks: ranks, gpu: "H100", utilization: 0.9, report: report, source: older,
            profile: .sortedSampling)
    }

    static let cases: [Case] = [
        Case(
            model: llama, ranks: 1, gpu: "H200", utilization: 0.6, report: .tokens(553_344),
            source: "vLLM 0.24, the calibration's machine, taken as eager", profile: .current, isEager: true),
        run(llama, 1, tokens: 476_016), run(llama, 2, tokens: 1_044_688), run(llama, 4, tokens: 2_209_792),
        run(llama, 1, tokens: 952_032, kvDataType: "fp8"), run(llama, 1, tokens: 529_248, dataType: "fp8"),
        run(llama, 1, tokens: 554_704, dataType: "int4"),
        run("Qwen/Qwen2.5-7B-Instruct", 1, tokens: 1_096_000), run("Qwen/Qwen2.5-7B-Instruct", 2, tokens: 2_390_592),
        run("Qwen/Qwen2.5-7B-Instruct", 4, tokens: 5_043_280), run("Qwen/Qwen3-8B", 1, tokens: 418_688),
        run("Qwen/Qwen2.5-72B-Instruct", 2, tokens: 19_920),
        run("Qwen/Qwen3-30B-A3B", 1, tokens: 168_288), run(seventy, 2, tokens: 244_304),
        run(seventy, 4, tokens: 708_992),
        run("microsoft/phi-4", 1, tokens: 241_568),
        // Its part for pictures is not in the shape.
        run("mistralai/Mistral-Small-24B-Instruct-2501", 1, tokens: 184_752),
        run("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, tokens: 465_936),
        run("deepseek-ai/DeepSeek-V2-Lite-Chat", 1, tokens: 1_505_552),
        run("google/gemma-2-9b-it", 1, tokens: 168_880), run("google/gemma-2-27b-it", 1, tokens: 58_672),
        Case(
            model: "openai/gpt-oss-20b", ranks: 1, gpu: "H100", utilization: 0.95, report: .gib(58.47), source: runs),
        Case(
            model: "Qwen/Qwen3-14B", ranks: 1, gpu: "H100", utilization: 0.95, report: .gib(45.23),
            source: "vLLM 0.18, same pull request"),
        Case(
            model: "Qwen/Qwen3-14B", ranks: 1, gpu: "H100", utilization: 0.95, report: .gib(41.94),
            source: "vLLM 0.16, same pull request", profile: .sortedSampling),
        older(llama, 1, .gib(51.38)), older(seventy, 2, .gib(32.0)), older(seventy, 1, .doesNotFit),
        older("Qwen/Qwen3-32B", 1, .gib(4.45)), older("Qwen/Qwen3-32B", 2, .gib(34.49)),
        older("Qwen/Qwen3-0.6B", 1, .gib(64.45)), older("openai/gpt-oss-20b", 1, .gib(50.28)),
        Case(
            model: "openai/gpt-oss-120b", ranks: 1, gpu: "H100", utilization: 0.95, report: .gib(3.33),
            source: older + " (which says 0.9, but its sum is that of 0.95)", profile: .sortedSampling),
        older("deepseek-ai/DeepSeek-R1", 1, .doesNotFit),
        Case(
            model: "meta-llama/Llama-3.1-8B", ranks: 1, gpu: "H100", utilization: 0.9, report: .tokens(414_960),
            source: "vLLM 0.9, LMCache's example log", profile: .sortedSampling),
        Case(
            model: "meta-llama/Llama-3.1-8B", ranks: 1, gpu: "H100", utilization: 0.9, report: .tokens(406_768),
            source: "the same with a PD buffer of 1 GiB", profile: .sortedSampling, buffer: 1 << 30),
        Case(
            model: "Qwen/Qwen3-235B-A22B-FP8", ranks: 4, gpu: "H100", utilization: 0.9, report: .tokens(178_880),
            source: "vLLM of July 2025 with LMCache, vllm-project/vllm issue 21348", profile: .sortedSampling),
        Case(
            model: "meta-llama/Meta-Llama-3-8B", ranks: 1, gpu: "H100", utilization: 0.9, report: .gib(53.29),
            source: "vLLM 0.6, vllm-project/vllm pull request 10511", profile: .sortedSampling, limits: (8_192, 256)),
        Case(
            model: "meta-llama/Meta-Llama-3.1-70B-Instruct-quantized.w8a8", ranks: 1, gpu: "H100", utilization: 0.98,
            report: .tokens(22_096), source: "vLLM 0.7, vllm-project/vllm pull request 12569", profile: .sortedSampling,
            limits: (2_048, 1_024)),
        Case(
            model: "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", ranks: 2, gpu: "RTX-4090", utilization: 0.98,
            report: .tokens(81_536), source: "vLLM 0.7, vllm-project/vllm issue 13061", profile: .sortedSampling),
    ]

    static func outcome(_ report: Case) throws -> Outcome {
        var description = EngineDescription(model: report.model, gpu: report.gpu)
        description.tensorParallel = report.ranks
        description.dataType = report.dataType
        description.kvDataType = report.kvDataType
        description.isEager = report.isEager
        var setup = try description.predictor().setup
        if let limits = report.limits { (setup.maximumBatchedTokens, setup.maximumSequences) = limits }
        let budget = MemoryBudget(
            setup, utilization: report.utilization, bufferBytes: report.buffer, profile: report.profile)
        let isFit = budget.kvTokens > 0
        switch report.report {
        case .tokens(let tokens):
            return Outcome(report: report, budget: budget, error: Double(budget.kvTokens) / tokens - 1, agrees: isFit)
        case .gib(let size):
            let error = Double(budget.kvBytes) / Double(1 << 30) / size - 1
            return Outcome(report: report, budget: budget, error: error, agrees: isFit)
        case .doesNotFit: return Outcome(report: report, budget: budget, error: nil, agrees: !isFit)
        }
    }

    static func markdown() throws -> String {
        let outcomes = try cases.map(outcome)
        let errors = outcomes.compactMap(\.error).map(abs)
        let mean = errors.reduce(0, +) / Double(max(1, errors.count))
        var rows = ""
        for outcome in outcomes {
            let report = outcome.report
            let name =
                [report.dataType == "auto" ? nil : report.dataType, report.kvDataType == "auto" ? nil : "KV fp8"]
                .compactMap { $0 }.joined(separator: ", ")
            let (reported, predicted) = texts(outcome)
            rows += "| \(report.model)\(name.isEmpty ? "" : " (\(name))") | \(report.ranks) × \(report.gpu) | "
            rows += "\(report.utilization) | \(reported) | \(predicted) | "
            rows += (outcome.error.map { ($0 < 0 ? "" : "+") + DecimalText.fixed(100 * $0, 1) } ?? "")
            rows += " | \(report.source) |\n"
        }
        return """
            ## What fits

            KV cache that vLLM reported at its start, in tokens or GiB a GPU, or that it does not fit. The verdict agrees in \
            \(outcomes.count { $0.agrees }) of \(outcomes.count) cases; where there is a number, the mean error is \
            \(DecimalText.fixed(100 * mean, 1)) %, the largest \(DecimalText.fixed(100 * (errors.max() ?? 0), 1)) %. All are \
            vLLM's own figures. What the profile run holds for each logit was found on these rows, one number for each of three ranges of \
            versions; the rest follows from shapes.

            | model | GPUs | utilisation | reported | predicted | error % | source |
            |---|---|---|---|---|---|---|
            \(rows)

            """
    }

    private static func texts(_ outcome: Outcome) -> (reported: String, predicted: String) {
        let fit = outcome.budget.kvTokens > 0
        let gib = DecimalText.fixed(Double(outcome.budget.kvBytes) / Double(1 << 30), 2) + " GiB"
        switch outcome.report.report {
        case .tokens(let tokens): return ("\(Int(tokens))", fit ? "\(outcome.budget.kvTokens)" : "does not fit")
        case .gib(let size): return (DecimalText.fixed(size, 2) + " GiB", fit ? gib : "does not fit")
        case .doesNotFit: return ("does not fit", fit ? gib : "does not fit")
        }
    }
}
