import DisaggCore

/// `Docs/PlannerTables.md`: what was measured beside what the planner says, all rows, also those that miss.
enum PlannerTables {
    static func markdown() throws -> String {
        var text = """
            # Measured and predicted

            Every row of every published table that the planner's inputs describe, beside its prediction; also the rows that miss. Times in ms.
            The file is written by a test, which fails where it is out of date:

            ```sh
            DISAGG_PLANNER_TABLES=Docs/PlannerTables.md swift test --filter PlannerTablesTests
            ```

            What the models are, and what the errors mean, is in [Planner.md](Planner.md).


            """
        text += try leaveOneOut()
        text += table(
            "Prefill and decode apart on the calibration's machine",
            "Two H200, eager, one prefill and one decode engine, arrivals even; the first is among the calibration's rows, the others are "
                + "rows 1, 2 and 15 of EngineFacts.md. No constant of the cost model was fitted to them; the hand-off's were.",
            try PublishedRows.pairRuns())
        text += table(
            "LMCache's published runs",
            "Llama-3.1-8B, 7,500 in, 200 out, one request a second, eager; the GPU is not named, H100 is assumed. General constants; "
                + "the launch time of a layer was taken from these very rows, the rest was not.",
            try PublishedRows.lmcache())
        let (first, transfer) = try PublishedRows.mooncake()
        text += table(
            "Mooncake: time to the first token",
            "Qwen3-8B on H800, vLLM, TP8 to TP8, one request at a time. General constants.", first)
        text += table(
            "Mooncake: transfer", "A start and a rate were fitted to these rows.", transfer)
        text += table(
            "Splitwise",
            "Llama-2-70B, TP8, an engine of 2023 without CUDA graphs; prompts without HTTP. General constants.",
            try splitwise())
        text += table(
            "Mooncake with SGLang on A10",
            "Qwen2.5-7B in 4 bits, PCIe only, Poisson arrivals. Another engine than the constants are for.",
            try sglangA10())
        text += table(
            "DistServe's simulator: mean latencies",
            "OPT-13B coefficients on A100, its own requests: the discrete-event core alone.", try distServe())
        text += table(
            "vLLM under a closed loop: time between tokens",
            "H100, CUDA graphs, lengths uniform in 0.8 to 1 of the nominal ones. General constants, found on these rows and 43 others.",
            try PublishedRows.closedLoop().map(\.row))
        text += table(
            "DistServe's engine: KV tokens", "A100-80G, all its rows; tokens, not ms.",
            try PublishedRows.distServeCapacity())
        return text + (try MemoryReports.markdown()) + missing
    }

    /// Published numbers without a row, and why.
    private static let missing = """
        ## Not predicted

        - DistServe's tables of SLO attainment and goodput, and its best placement for OPT-13B: they need the ShareGPT lengths.
        - d2 and d4 of DistServe's simulator: their requests are not among the files.
        - Splitwise's and Mooncake's cluster results (requests at a cost, capacity gains): they need the traces and the authors' hardware prices.
        - The time to the first token of closed loops: it is mostly the load generator's first burst.
        - Qwen3-32B FP8, 8P(TP1) + 2D(TP4): how many requests ran on a decode engine is not given.
        - Qwen3-235B on H20 with SGLang: experts and another engine; the planner says "unvalidated" for both.

        """

    private static func number(_ value: Double) -> String {
        value >= 10_000 ? DecimalText.fixed(value, 0) : DecimalText.fixed(value, value < 10 ? 2 : 1)
    }

    private static func percent(_ value: Double) -> String {
        (value < 0 ? "" : "+") + DecimalText.fixed(100 * value, 1)
    }

    private static func table(_ title: String, _ remark: String, _ rows: [PublishedRows.Row]) -> String {
        let counted = rows.filter { $0.exclusion == nil }
        let mean = counted.reduce(0) { $0 + abs($1.error) } / Double(max(1, counted.count))
        let worst = counted.map { abs($0.error) }.max() ?? 0
        var text = "## \(title)\n\n\(remark) Mean error \(DecimalText.fixed(100 * mean, 1)) %, largest "
        text +=
            "\(DecimalText.fixed(100 * worst, 1)) %, \(counted.count) rows.\n\n| | measured | predicted | error % |\n|---|---|---|---|\n"
        for row in rows {
            let remark = row.exclusion.map { " (not counted: \($0))" } ?? ""
            text +=
                "| \(row.name)\(remark) | \(number(row.measured)) | \(number(row.predicted)) | \(percent(row.error)) |\n"
        }
        return text + "\n"
    }

    private static func leaveOneOut() throws -> String {
        guard let calibration = ShippedCalibration.h200Llama8B else { return "" }
        var text = """
            ## The H200 calibration: fitted, and left out

            Llama-3.1-8B on one H200, vLLM 0.24.0. "Left out" is the prediction of a fit to all other rows. Mean error left out \
            \(DecimalText.fixed(100 * calibration.meanLeftOutError, 1)) %.

            | | measured | fitted | error % | left out | error % |
            |---|---|---|---|---|---|

            """
        for residual in calibration.residuals {
            text += "| \(residual.row.name) | \(number(residual.row.milliseconds)) | \(number(residual.fitted)) | "
            text +=
                "\(percent(residual.fitError)) | \(number(residual.leftOut)) | \(percent(residual.leftOutError)) |\n"
        }
        return text + "\n"
    }

    private static func splitwise() throws -> [PublishedRows.Row] {
        var rows: [PublishedRows.Row] = []
        let measured: [(String, [(Int, Double)], Double)] = [
            ("A100-80GB", [(512, 92.8), (2_048, 274)], 45), ("H100", [(512, 53.9), (2_048, 136.8)], 30.5),
        ]
        for (gpu, prompts, step) in measured {
            var description = EngineDescription(model: "llama-2-70b", gpu: gpu)
            description.tensorParallel = 8
            description.isEager = true
            let model = try description.predictor().model
            for (tokens, time) in prompts {
                rows.append(
                    .init(
                        name: "\(gpu), \(tokens) tokens", measured: time,
                        predicted: model.promptMilliseconds(tokens: tokens)
                            - model.requestMilliseconds(promptTokens: tokens)))
            }
            rows.append(
                .init(
                    name: "\(gpu), step", measured: step, predicted: model.decodeMilliseconds(batch: 1, context: 1_000))
            )
        }
        return rows
    }

    private static func sglangA10() throws -> [PublishedRows.Row] {
        var rows: [PublishedRows.Row] = []
        let measured: [(Int, Int, Int, Double, (Double, Double), (Double, Double))] = [
            (4, 8_192, 512, 1, (732.5, 7.23), (767, 10.3)), (2, 2_048, 512, 4, (1111.9, 17.06), (310, 25.7)),
        ]
        for (ranks, input, output, rate, pair, two) in measured {
            var description = EngineDescription(model: "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", gpu: "A10")
            description.tensorParallel = ranks
            let predictor = try description.predictor()
            let load = Workload(input: .constant(input), output: .constant(output), rate: rate)
            for (prefills, decodes, name, values) in [(1, 1, "1P1D", pair), (0, 2, "two regular", two)] {
                var question = ServingQuestion(
                    workload: load, prefills: prefills, decodes: decodes, handoff: prefills > 0 ? .plain : .none)
                question.firstToken = .decode
                // Mooncake's proxy deals requests in turn.
                question.proxy.routing.prefill.policy = .roundRobin
                question.proxy.routing.decode.policy = .roundRobin
                question.count = 600
                let answer = try question.answer(prefill: predictor, decode: predictor)
                let title = "TP\(ranks), \(input)/\(output) at \(Int(rate)) a second, \(name)"
                rows.append(.init(name: "\(title), TTFT", measured: values.0, predicted: answer.report.ttft.mean))
                rows.append(.init(name: "\(title), ITL", measured: values.1, predicted: answer.report.tpot.mean))
            }
        }
        return rows
    }

    private static func distServe() throws -> [PublishedRows.Row] {
        let measured: [(String, Bool, Double, Double)] = [("d1", true, 61.89, 29.295), ("d3", false, 199.38, 28.683)]
        return try measured.flatMap { name, isTwoRanks, ttft, tpot -> [PublishedRows.Row] in
            let (first, between) = try DistServeReplica.means(name, isTwoRanks: isTwoRanks)
            return [
                PublishedRows.Row(name: "\(name), TTFT", measured: ttft, predicted: first),
                PublishedRows.Row(name: "\(name), TPOT", measured: tpot, predicted: between),
            ]
        }
    }
}
