import NIOHTTP1

/// A generation from its admission to the end of its answer.
final class ActiveRequest {
    /// What was asked; a side-car may add transfer parameters.
    var request: SimulatedRequest
    let exchange: SimulatedExchange
    /// The client's `X-Request-Id`, or a random one.
    let requestID: String
    /// The eight random digits at the end of the engine's own ids.
    private let suffix: String
    /// The answer's id.
    let answerID: String
    /// The data-parallel rank that serves it, where the protocol has ranks.
    var servedRank = 0
    /// MoRIIO: where its KV comes from.
    var claimed: KVClaims.Source?
    /// Tokens that must be computed, 0 where the KV was loaded.
    var prefillTokens: Int
    /// Of these, tokens computed so far.
    var prefilledTokens = 0
    /// Tokens whose KV came from elsewhere.
    var loadedTokens = 0 {
        didSet { if loadedTokens > 0 { encoder.countAsCached(loadedTokens) } }
    }
    /// Some step has taken it up.
    var isPlanned = false
    /// The client is gone or the answer is complete; the scheduler drops it.
    private(set) var isOver = false
    /// The client left while the prefill must still be computed and sent on.
    var isDiscarded = false
    /// A fault: the engine dies when this many tokens were generated.
    var dieAfterTokens: Int?
    /// Makes the answer's `kv_transfer_params` when its last choice ends.
    var transferParameters: (() -> String)?
    /// Makes what each choice has beside the usual members, with a leading comma.
    var choiceMembers: (() -> String)?
    /// Called once with the reason when the answer ends or the client leaves.
    var onEnd: ((FinishReason) -> Void)?
    /// Of ``generatedTokens``, those the metrics know.
    var countedTokens = 0
    /// Tokens of all choices.
    private(set) var generatedTokens = 0
    /// KV tokens that its running choices read in a step.
    var contextTokens: Int { runningChoices * request.promptTokens + generatedTokens }
    /// First generated token, what LMCache returns as `first_tok`.
    private(set) var firstToken: Int?
    private var sequences: [GenerationSequence]
    private var joined: [JoinedChoice] = []
    private var encoder: AnswerEncoder
    private var hasStarted = false
    /// The whole answer, where it was no stream.
    private(set) var wholeAnswer: String?
    /// A stream's tokens are kept for ``generatedIDs``.
    var recordsTokens = false
    private var recorded: [Int] = []

    init(
        context: AnswerContext, fields: AnswerFields, exchange: SimulatedExchange, requestID: String, suffix: String,
        endProbability: Double, maximumModelLength: Int
    ) {
        let request = context.request
        self.request = request
        self.exchange = exchange
        self.requestID = requestID
        self.suffix = suffix
        answerID = context.id
        prefillTokens = request.promptTokens
        encoder = AnswerEncoder(context: context, fields: fields)
        sequences = request.prompts.enumerated().flatMap { index, prompt in
            let history = TokenHistory(prompt)
            let limit = request.limit(prompt: index, maximumModelLength: maximumModelLength)
            return (0..<request.choices).map { choice in
                GenerationSequence(
                    request: request, prompt: index, choice: choice, history: history, limit: limit,
                    endProbability: endProbability)
            }
        }
        if !request.isStream { joined = Array(repeating: JoinedChoice(), count: sequences.count) }
    }

    /// The engine's own id of a prompt without its random suffix: `cmpl-<id>-<prompt>`, `chatcmpl-<id>`.
    ///
    /// Source: vLLM 0.33.0 `completion/serving.py` 147 and 183, `chat_completion/serving.py` 321.
    func baseID(prompt: Int) -> String {
        request.endpoint.idPrefix + requestID + (request.endpoint == .completion ? "-\(prompt)" : "")
    }

    /// The engine's own id of the first prompt, with its random suffix.
    var internalID: String { "\(baseID(prompt: 0))-\(suffix)" }

    /// `X-data-parallel-rank` as it was sent.
    var dataParallelRank: String? { exchange.head.headers.first(name: "x-data-parallel-rank") }

    /// Whether the engine ended every choice at its token limit; stop strings are the front end's (vLLM 0.33.0
    /// `v1/engine/output_processor.py` 825-830).
    var isLengthCapped: Bool { sequences.allSatisfy(\.isLengthCapped) }

    /// Why the first choice ended; nil for a stream.
    var finishReason: FinishReason? { joined.first?.finish }

    /// The first choice's tokens, where the answer is no stream or ``recordsTokens`` is set.
    var generatedIDs: [Int] { request.isStream ? recorded : joined.first?.tokens ?? [] }

    /// Choices that still generate.
    var runningChoices: Int { sequences.count { !$0.isFinished } }

    /// Generates one token of each choice and sends or keeps it.
    func step() {
        guard !isOver else { return }
        if request.isStream, !hasStarted {
            hasStarted = true
            for event in encoder.start(choices: sequences.count) { exchange.send(event: event) }
        }
        for index in sequences.indices where !sequences[index].isFinished {
            let piece = sequences[index].step()
            generatedTokens += piece.tokens.count
            firstToken = firstToken ?? piece.tokens.first
            guard request.isStream else {
                joined[index].append(piece)
                continue
            }
            if recordsTokens, index == 0 { recorded += piece.tokens }
            let isLast = runningChoices == 0
            let transfer = isLast ? transferParameters?() : nil
            let produced = sequences[index].produced
            for event in encoder.events(piece, produced: produced, transfer: transfer) { exchange.send(event: event) }
        }
        if runningChoices == 0 { finish() }
    }

    /// Ends with an error: a status where none was sent, else an event in the stream and `[DONE]` (§0.6).
    func fail(_ error: SimulatedAPIError) {
        guard !isOver else { return }
        if exchange.hasHead {
            exchange.send(event: encoder.errorEvent(error))
            exchange.endStream(done: encoder.endsWithDone)
        } else {
            exchange.fail(error, endpoint: request.endpoint)
        }
        over(.error)
    }

    /// The client is gone.
    func abort() { over(.abort) }

    private func finish() {
        if request.isStream {
            for event in encoder.end(completionTokens: generatedTokens) { exchange.send(event: event) }
            exchange.endStream(done: encoder.endsWithDone)
        } else {
            let body = encoder.body(
                joined, transfer: transferParameters?() ?? "null", choiceMembers: choiceMembers?() ?? "")
            wholeAnswer = body
            exchange.respond(status: 200, body: body)
        }
        over(joined.first?.finish ?? .stop)
    }

    private func over(_ reason: FinishReason) {
        guard !isOver else { return }
        isOver = true
        transferParameters = nil
        choiceMembers = nil
        let end = onEnd
        onEnd = nil
        end?(reason)
    }
}
