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

    @OptionGroup(title: "ENGINE OPTIONS") var engine: EngineOptions
    @Option(help: "The GPU: H100, H200, A100-80GB, L40S, …") var gpu: String
    @OptionGroup(title: "LOAD OPTIONS") var load: LoadOptions
    @Option(help: "Length of one prompt.") var prefillTokens: Int?
    @Option(help: "Requests that run at once.") var decodeBatch: Int?
    @Option(help: "KV tokens of each of them.") var contextTokens: Int?
    @Option(help: "Prefill engines; 0 for engines that do both.") var prefill = 1
    @Option(help: "Decode engines.") var decode = 1
    @Option(help: "Requests to simulate.") var requests = 2000
    @Flag(help: "Tokens of KV cache.") var kvCapacity = false
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        var question = PredictionQuestion(engine: engine.description(gpu: gpu))
        question.prefillTokens = prefillTokens
        question.decodeBatch = decodeBatch
        question.contextTokens = contextTokens
        question.asksCapacity = kvCapacity
        question.prefills = prefill
        question.decodes = decode
        question.requests = requests
        try load.describe(&question.load)
        Terminal.write(try question.answer(asJSON: json))
    }
}
