/// One choice being generated: sampling, detokenising, stopping.
///
/// A pure machine: the same request gives the same pieces on every engine, which is what lets tests compare an answer
/// through a hand-off with that of one engine alone.
struct GenerationSequence {
    /// Index of the choice in the answer.
    let index: Int
    /// Index of its prompt.
    let promptIndex: Int
    /// Tokens generated so far.
    private(set) var produced = 0
    private(set) var isFinished = false
    /// The engine, as told apart from its front end, ended it at its limit.
    private(set) var isLengthCapped = false
    private var history: TokenHistory
    private var detokenizer = IncrementalDetokenizer()
    private var matcher: StopMatcher
    private let sampler: TokenSampler
    private let limit: Int
    private let request: SimulatedRequest

    /// - Parameters:
    ///   - history: that of the choice's prompt.
    ///   - choice: index among the `n` of the prompt.
    ///   - limit: most tokens it may have.
    init(
        request: SimulatedRequest, prompt: Int, choice: Int, history: TokenHistory, limit: Int, endProbability: Double
    ) {
        self.request = request
        index = prompt * request.choices + choice
        promptIndex = prompt
        self.history = history
        self.limit = limit
        // vLLM's completions always name the chosen token, also for `logprobs: 0`; chat's list may be empty.
        let top = request.logprobs.map { request.endpoint == .completion ? max(1, $0) : $0 } ?? 0
        sampler = TokenSampler(
            endProbability: endProbability, choice: choice, seed: request.seed, stopTokens: request.stopTokens,
            topCount: top)
        matcher = StopMatcher(stops: request.stops, includeStop: request.includesStop)
    }

    /// Generates one token.
    mutating func step() -> GeneratedPiece {
        var piece = GeneratedPiece(index: index, isFirst: produced == 0)
        if piece.isFirst, request.echoes {
            let prompt = request.prompts[promptIndex]
            piece.text = SimulatedTokenizer.shared.detokenize(prompt)
            if request.logprobs != nil { piece.sampled = scores(of: prompt) }
        }
        guard limit > 0 else {
            isFinished = true
            piece.finish = .length
            return piece
        }
        let mayStop = produced >= request.minimumTokens
        var sampled = sampler.next(history, allowEnd: !request.ignoresEnd, allowStop: mayStop)
        if produced < request.forcedTokens.count, request.forcedTokens[produced] != sampled.token {
            sampled = sampler.score(request.forcedTokens[produced], after: history)
        }
        history.append(sampled.token)
        produced += 1
        piece.tokens = [sampled.token]
        if request.logprobs != nil { piece.sampled.append(sampled) }

        // The engine's order: end of text, stop tokens, length (vLLM v1/core/sched/utils.py 98-119).
        let isEnd = sampled.token == SimulatedVocabulary.endOfText && !request.ignoresEnd
        if isEnd {
            piece.finish = .stop
        } else if mayStop, request.stopTokens.contains(sampled.token) {
            piece.finish = .stop
            piece.stopReason = "\(sampled.token)"
        } else if produced >= limit {
            piece.finish = .length
            isLengthCapped = true
        } else if request.stopsAtContext {
            piece.finish = .notFinished
            isLengthCapped = true
        }
        // The token that stopped shows no text unless asked for.
        let isHidden = piece.finish == .stop && !request.includesStop
        var text = isHidden ? "" : detokenizer.append(sampler.vocabulary.bytes(of: sampled.token))
        if piece.finish != nil { text += detokenizer.finish() }
        if request.numbersTokens, !isHidden { text = " w\(produced - 1)" }
        if let stop = matcher.append(text, searching: produced > request.minimumTokens) {
            piece.finish = .stop
            piece.stopReason = JSONString.encode(stop)
        }
        isFinished = piece.finish != nil
        piece.text += matcher.take(finished: isFinished)
        return piece
    }

    private func scores(of prompt: [Int]) -> [SampledToken] {
        var history = TokenHistory()
        return prompt.enumerated().map { position, token in
            defer { history.append(token) }
            return position == 0 ? SampledToken(token: token) : sampler.score(token, after: history)
        }
    }
}
