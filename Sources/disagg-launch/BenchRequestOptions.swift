import ArgumentParser
import DisaggCore

/// What each request is.
struct BenchRequestOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("completions or chat. (default: completions)", valueName: "completions|chat"),
        transform: choice)
    var endpoint = BenchSettings.Endpoint.completions
    @Option(help: "Model name. (default: the first of /v1/models)") var model: String?
    @Option(help: "random, sharegpt-file or trace-file. (default: random)", transform: choice)
    var dataset = BenchDataset.Kind.random
    @Option(help: "ShareGPT's JSON, Mooncake's JSON lines or Azure's CSV.") var datasetPath: String?
    @Option(help: "A trace's requests arrive so many times as fast as it says.") var traceSpeed = 1.0
    @Option(help: "Tokens of the prompt, exactly: see --prompt-form.") var inputTokens = 7500
    @Option(
        help: ArgumentHelp(
            "auto: words that the server's /tokenize counts as one token each, else ids; words: unchecked; ids. (default: auto)",
            valueName: "auto|words|ids"), transform: choice)
    var promptForm = PromptForm.auto
    @Option(help: "Lengths within this part around theirs, 0...1.") var rangeRatio = 0.0
    @Option(help: "Bytes of the prompt, in place of --input-tokens.") var promptBytes: Int?
    @Option(help: "Tokens at the start of the prompt that all requests share.") var sharedPrefixTokens = 0
    @Option(help: "Tokens of the answer.") var outputTokens = 200
    @Flag(inversion: .prefixedNo, help: "Ask engines to go on until all tokens are there (ignore_eos).")
    var ignoreEos = true
    @Flag(inversion: .prefixedNo, help: "Ask for a stream of tokens, or for the answer in one piece.") var stream = true
    @Flag(inversion: .prefixedNo, help: "Ask streams for the engine's own count of tokens (include_usage).")
    var usage = true
    @Flag(inversion: .prefixedNo, help: "Use connections again.") var keepAlive = true
    @Option(
        name: .customLong("api-key-env"),
        help: "Environment variable that holds the API key; the key itself is never shown.",
        transform: { name in
            guard let key = ExecutableSearch.variable(name) else {
                throw ValidationError("the environment has no variable \(name)")
            }
            return key
        })
    var apiKey: String?

    func apply(to settings: inout BenchSettings) throws {
        settings.dataset = try BenchDataset.load(dataset, path: datasetPath)
        settings.traceSpeed = traceSpeed
        settings.promptForm = promptForm
        settings.rangeRatio = rangeRatio
        settings.endpoint = endpoint
        settings.model = model
        settings.inputTokens = inputTokens
        settings.promptBytes = promptBytes
        settings.sharedPrefixTokens = sharedPrefixTokens
        settings.outputTokens = outputTokens
        settings.ignoresEnd = ignoreEos
        settings.isStream = stream
        settings.wantsUsage = usage
        settings.keepsAlive = keepAlive
        settings.apiKey = apiKey
    }
}
