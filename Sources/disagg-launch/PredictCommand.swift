import ArgumentParser
import DisaggCore

/// `disagg-launch predict`: one number about an engine or a deployment.
struct PredictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Predict a latency or a KV capacity, with its range and what it rests on.",
        discussion: """
            Asks the cost model one question, so that its answer can be held against a measurement:

              --prefill-tokens N                     time to the first token of one prompt on an idle engine
              --decode-batch B --context-tokens N    time of one step with B requests running
              --isl N --osl M --rate R --prefill X --decode Y --handoff H
                                                     what the clients of a whole deployment see
              --kv-capacity --gpu-memory-utilization U
                                                     tokens of KV cache

            Arrivals are even unless --burstiness says otherwise. Under lmcache, the first token comes from the prefill \
            engine unless --first-token says otherwise.

            EXAMPLES:
              disagg-launch predict --model meta-llama/Llama-3.1-8B --gpu H200 --eager --prefill-tokens 7500
              disagg-launch predict --model Qwen/Qwen3-32B --gpu H100 --tensor-parallel 2 \\
                --decode-batch 32 --context-tokens 2000 --json
              disagg-launch predict --model meta-llama/Llama-3.1-8B --gpu H200 --eager --isl 7500 --osl 200 \\
                --rate 1 --prefill 1 --decode 1 --handoff lmcache
            """)

    @OptionGroup(title: "ENGINE OPTIONS")
    var engine: EngineOptions
    @Option(help: "The GPU: H100, H200, A100-80GB, L40S, …")
    var gpu: String

    @Option(name: .customLong("prefill-tokens"), help: "Length of one prompt.")
    var prefillTokens: Int?
    @Option(name: .customLong("decode-batch"), help: "Requests that run at once.")
    var decodeBatch: Int?
    @Option(name: .customLong("context-tokens"), help: "KV tokens of each of them.")
    var contextTokens: Int?

    @Option(help: ArgumentHelp("Prompt tokens: 7500, 1000-2000, or 1155~0.8 (mean~variation).", valueName: "tokens"))
    var isl: String?
    @Option(help: ArgumentHelp("Answer tokens, in the same forms.", valueName: "tokens"))
    var osl: String?
    @Option(help: "Requests a second.")
    var rate: Double?
    @Option(help: "Shape of the gaps between arrivals: even, or 1 for a Poisson process, below 1 for bursts.")
    var burstiness = "even"
    @Option(help: "Prefill engines; 0 for engines that do both.")
    var prefill = 1
    @Option(help: "Decode engines.")
    var decode = 1
    @Option(help: "The hand-off: \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")).")
    var handoff = "lmcache"
    @Option(name: .customLong("first-token"), help: "Who samples the first token under lmcache: prefill or decode.")
    var firstToken = "prefill"
    @Option(help: "Objectives that goodput counts: ttft=500ms,tpot=50ms.")
    var slo: String?
    @Option(help: "Requests to simulate.")
    var requests = 2000
    @Option(help: "Seed of arrivals and lengths.")
    var seed: UInt64 = 0

    @Flag(name: .customLong("kv-capacity"), help: "Tokens of KV cache.")
    var kvCapacity = false
    @Option(name: .customLong("gpu-memory-utilization"), help: "Share of the GPU's memory that the engine may take.")
    var utilization = 0.9
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        var question = PredictionQuestion(engine: engine.description(gpu: gpu))
        question.prefillTokens = prefillTokens
        question.decodeBatch = decodeBatch
        question.contextTokens = contextTokens
        question.asksCapacity = kvCapacity
        question.utilization = utilization
        question.input = isl
        question.output = osl
        question.rate = rate
        question.burstiness = burstiness
        question.prefills = prefill
        question.decodes = decode
        question.handoff = handoff
        question.firstToken = firstToken
        question.objectives = slo
        question.requests = requests
        question.seed = seed
        Terminal.write(try question.answer(asJSON: json))
    }
}
