/// A checked request to a generating endpoint.
struct SimulatedRequest {
    /// Which endpoint was asked.
    enum Endpoint: String, CaseIterable {
        case completion = "/v1/completions"
        case chat = "/v1/chat/completions"
        case responses = "/v1/responses"
        case messages = "/v1/messages"
        case tokens = "/inference/v1/generate"
        /// SGLang's own.
        case native = "/generate"

        var path: String { rawValue }

        var idPrefix: String {
            switch self {
            case .completion: "cmpl-"
            case .chat, .messages: "chatcmpl-"
            case .responses: "resp_"
            case .tokens: "generate-tokens-"
            case .native: ""
            }
        }
    }

    /// A tool the answer must call.
    struct ForcedTool {
        var name: String
        /// `tool_choice` named it, in contrast to "required".
        var isNamed: Bool
    }

    var endpoint: Endpoint
    /// Token ids of each prompt; one for chat.
    var prompts: [[Int]]
    /// Most tokens a choice may have; the rest of the context where nil.
    var maximumTokens: Int?
    var minimumTokens = 0
    /// Choices for each prompt.
    var choices = 1
    var isStream = false
    /// Usage in a last chunk without choices.
    var includesUsage = false
    /// Usage in every chunk.
    var includesContinuousUsage = false
    /// The prompt comes first in the text.
    var echoes = false
    /// Number of alternatives wanted with each token's log probability; nil for no log probabilities.
    var logprobs: Int?
    var stops: [String] = []
    var stopTokens: Set<Int> = []
    var includesStop = false
    var ignoresEnd = false
    /// The seed where it matters: nil for greedy sampling.
    var seed: Int?
    var returnsTokenIDs = false
    /// The engine writes each token's number in place of its text.
    var numbersTokens = false
    var forcedTool: ForcedTool?
    /// SGLang: the prompts came as a list, so the answer is one, too.
    var isBatch = false
    /// SGLang: log-probabilities of the sampled tokens and of the prompt from ``logprobStart`` on.
    var returnsLogprobs = false
    /// SGLang: -1 for none of the prompt.
    var logprobStart = -1
    /// SGLang: the engine computes the prompt itself, and knows its log-probabilities.
    var computesPrompt = true
    /// `kv_transfer_params` where it is an object.
    var transfer: JSONView?

    /// Other members that only a router sets: SGLang's `bootstrap_*`, TensorRT-LLM's `disaggregated_params`.
    var routerFields: [String: JSONView] = [:]
    /// A TensorRT-LLM context server ends after one token, whatever the limit.
    var stopsAtContext = false
    /// A TensorRT-LLM generation server begins with these tokens, which the context server has sampled.
    var forcedTokens: [Int] = []
    /// The body as it came, where a side-car needs it.
    var body: [UInt8] = []

    /// Tokens of all prompts together.
    var promptTokens: Int { prompts.reduce(0) { $0 + $1.count } }

    /// The largest number of tokens a choice of that prompt may have.
    func limit(prompt: Int, maximumModelLength: Int) -> Int {
        min(maximumTokens ?? .max, maximumModelLength - prompts[prompt].count)
    }
}
