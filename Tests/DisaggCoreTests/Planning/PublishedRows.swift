import DisaggCore

/// Published measurements beside what the planner says, row by row.
enum PublishedRows {
    struct Row {
        var name: String
        var measured: Double
        var predicted: Double
        /// Why the row counts in no mean; nil where it counts.
        var exclusion: String?

        var error: Double { predicted / measured - 1 }
    }

    /// Time between tokens of vLLM under a closed loop, `vllm-dense-h100.csv`.
    ///
    /// Lengths are drawn from 0.8 to 1 of the nominal ones, so the mean is 0.9 of them. A step of C requests is now and then
    /// one with another's prompt in it: each of the other C − 1 requests brings one while this one makes its tokens.
    static func closedLoop() throws -> [(model: String, row: Row)] {
        try PlanningFixture.text("planner/vllm-dense-h100.csv").split(separator: "\n").dropFirst().map { line in
            let cells = line.split(separator: ",").map(String.init)
            let numbers = cells.dropFirst(2).compactMap { Double($0) }
            let (input, output, concurrency) = (0.9 * numbers[0], 0.9 * numbers[1], Int(numbers[2]))
            var description = EngineDescription(model: cells[0], gpu: "H100")
            description.dataType = cells[1]
            description.tensorParallel = Int(numbers[3])
            let predictor = try description.predictor()
            let model = predictor.model
            let context = Int(input + output / 2)
            let step = model.decodeMilliseconds(batch: concurrency, context: context)
            var mixed = 0.0
            var done = 0
            while done < Int(input) {
                let chunk = min(model.setup.maximumBatchedTokens - concurrency, Int(input) - done)
                mixed += model.stepMilliseconds(
                    prompts: 1, promptTokens: chunk, work: model.promptWork(tokens: chunk, cached: done),
                    running: concurrency - 1, contextTokens: (concurrency - 1) * context)
                mixed -= step
                done += chunk
            }
            let predicted = step + Double(concurrency - 1) / (output - 1) * mixed
            let budget = MemoryBudget(predictor.setup, utilization: 0.9)
            let isFull = Double(concurrency) * (input + output / 2) > 0.9 * Double(budget.kvTokens)
            let isOdd = cells[0].hasPrefix("Qwen") && cells[1] == "fp8"
            return (
                "\(cells[0]) \(cells[1])",
                Row(
                    name:
                        "\(cells[0]) \(cells[1]) TP\(Int(numbers[3])) \(Int(numbers[0]))/\(Int(numbers[1])) C\(concurrency)",
                    measured: numbers[5], predicted: predicted,
                    exclusion: isFull
                        ? "preempts: more tokens than the KV cache holds"
                        : isOdd ? "inconsistent with its neighbours" : nil)
            )
        }
    }

    /// Time to the first token of Mooncake with vLLM, Qwen3-8B on H800, TP8 to TP8; and its transfers.
    static func mooncake() throws -> (first: [Row], transfer: [Row]) {
        var description = EngineDescription(model: "Qwen/Qwen3-8B", gpu: "H800")
        description.tensorParallel = 8
        let predictor = try description.predictor()
        let model = predictor.model
        var first: [Row] = []
        var transfer: [Row] = []
        for line in try PlanningFixture.text("planner/mooncake-pd.csv").split(separator: "\n").dropFirst() {
            let cells = line.split(separator: ",").map(String.init)
            let numbers = cells.dropFirst(3).compactMap { Double($0) }
            let tokens = Int(numbers[2])
            // 0.38 ms and 146 GB/s, fitted to these rows: eight network cards of 200 Gb/s.
            let copy = 0.38 + Double(tokens) * 147_456 / 146e6
            let predicted =
                model.promptMilliseconds(tokens: tokens) + model.requestMilliseconds(promptTokens: tokens) + copy
                + model.decodeMilliseconds(batch: 1, context: tokens)
            first.append(
                Row(name: "Qwen3-8B H800 TP8, \(tokens) tokens, TTFT", measured: numbers[3], predicted: predicted))
            transfer.append(
                Row(name: "Qwen3-8B H800 TP8, \(tokens) tokens, transfer", measured: numbers[4], predicted: copy))
        }
        return (first, transfer)
    }

    /// Whole runs of one prefill and one decode engine on the calibration's machine, as `predict` answers them.
    static func pairRuns() throws -> [Row] {
        func run(
            _ handoff: HandoffKind, _ source: FirstTokenSource, _ input: Int, _ output: Int, _ rate: Double, count: Int
        ) throws -> SimulationReport {
            let predictor = try PlanningFixture.h200(eager: true)
            let load = Workload(
                input: .constant(input), output: .constant(output), rate: rate, burstiness: .infinity)
            var question = ServingQuestion(workload: load, prefills: 1, decodes: 1, handoff: handoff)
            question.firstToken = source
            question.count = count
            return try question.answer(prefill: predictor, decode: predictor).report
        }
        let short = try run(.lmcache, .prefill, 2_000, 100, 4, count: 40)
        let early = try run(.lmcache, .prefill, 7_500, 200, 1, count: 94)
        let late = try run(.lmcache, .decode, 7_500, 200, 1, count: 30)
        let pull = try run(.nixl, .decode, 7_500, 200, 1, count: 30)
        return [
            Row(name: "LMCache, 2,000/100 at 4 a second, TTFT mean", measured: 59.381, predicted: short.ttft.mean),
            Row(name: "LMCache, 2,000/100 at 4 a second, TTFT p99", measured: 65.137, predicted: short.ttft.p99),
            Row(name: "LMCache, 2,000/100 at 4 a second, TPOT mean", measured: 19.825, predicted: short.tpot.mean),
            Row(name: "LMCache, 7,500/200 at 1 a second, TTFT mean", measured: 210, predicted: early.ttft.mean),
            Row(
                name: "LMCache, first token from decode, 7,500/200 at 1 a second, TTFT mean", measured: 267,
                predicted: late.ttft.mean),
            Row(name: "NIXL, 7,500/200 at 1 a second, TTFT mean", measured: 452, predicted: pull.ttft.mean),
        ]
    }

    /// LMCache's two published runs: Llama-3.1-8B, 7,500 tokens in, 200 out, one request a second, H100 assumed, eager.
    static func lmcache() throws -> [Row] {
        var rows: [Row] = []
        for (name, ranks, ttft, tpot) in [("2P1D", 1, 272.83, 8.84), ("P TP1, D TP2", 2, 263.41, 10.90)] {
            var description = EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H100")
            description.isEager = true
            let prefill = try description.predictor()
            description.tensorParallel = ranks
            let decode = try description.predictor()
            // The proxy and both servers are Python: each hop costs what one server does.
            let first =
                prefill.model.promptMilliseconds(tokens: 7_500) + prefill.model.requestMilliseconds(promptTokens: 7_500)
                + 7_500 * 131_072 / 250e6 + decode.model.decodeMilliseconds(batch: 2, context: 7_600)
            rows.append(Row(name: "LMCache \(name), TTFT p50", measured: ttft, predicted: first))
            rows.append(
                Row(
                    name: "LMCache \(name), TPOT", measured: tpot,
                    predicted: decode.model.decodeMilliseconds(batch: 2, context: 7_600)))
            if ranks == 1 {
                rows.append(
                    Row(
                        name: "LMCache \(name), prefill answer", measured: 224.98,
                        predicted: prefill.model.promptMilliseconds(tokens: 7_500)))
            }
        }
        return rows
    }

    /// Tokens of KV cache of DistServe's engine on A100-80G, all of its rows.
    static func distServeCapacity() throws -> [Row] {
        let gpuBytes = 79.35e9
        return try PlanningFixture.text("planner/distserve-max-num-tokens.csv").split(separator: "\n").dropFirst()
            .compactMap {
                line in
                let cells = line.split(separator: ",").map(String.init)
                let name = cells[0].split(separator: "/").last.map(String.init) ?? ""
                guard let shape = ModelCatalog.named(name), let ranks = Int(cells[1]), let stages = Int(cells[2]),
                    let tokens = Double(cells[3])
                else { return nil }
                // Its engine holds the layers' weights only, and takes 95 % of 83.5 GB; blocks of 16.
                let weights = Double(shape.linearParameters) * 2 / Double(ranks * stages)
                let kv = Double(2 * shape.layers * shape.kvHeads * shape.headDimension * 2) / Double(ranks * stages)
                let predicted = ((gpuBytes - weights) / kv / 16).rounded(.down) * 16
                return Row(name: "\(name) TP\(ranks) PP\(stages)", measured: tokens, predicted: predicted)
            }
    }
}
