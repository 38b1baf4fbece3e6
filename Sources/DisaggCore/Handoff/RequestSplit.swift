internal import NIOCore

/// A request for several prompts or choices as single requests, each of one prompt and one choice.
///
/// Engines return the transfer parameters of a list's first prompt only, and the choices of one prompt share one set of
/// them (vLLM 0.33.0 `completion/serving.py` 698-700, issue #43509): so a list would leave blocks behind. Split up, each
/// choice is a hand-off of its own; ``PartStreamMerge`` and ``PartAnswerMerge`` make one answer of theirs again.
package struct RequestSplit: Sendable {
    /// What becomes of a request that its protocol cannot hand off as a whole.
    package enum Outcome: Sendable {
        case split(RequestSplit)
        /// Only one engine can answer it as a whole.
        case alone(HandoffReason)
    }

    /// Parts of one request at most: each is a request of its own to two engines.
    package static let maximumParts = 256

    package let request: GenerationRequest
    /// Where the prompts stand in the body; empty where the request has one prompt, which is no list.
    private let prompts: [Range<Int>]
    /// Choices of each prompt.
    package let choices: Int

    /// Number of single requests.
    package var count: Int { max(1, prompts.count) * choices }

    /// Index of a part's prompt.
    package func prompt(of part: Int) -> Int { part / max(1, choices) }

    /// Whether a part is the first of its prompt: the others compute the same prompt again, which clients pay once.
    package func isFirstOfPrompt(_ part: Int) -> Bool { part % max(1, choices) == 0 }

    /// Judges a request and finds its parts.
    ///
    /// - Parameters:
    ///   - maximumParts: a request for more is served by one decoder.
    ///   - areCopies: whether the engine samples each choice as if it were asked for alone.
    package static func split(
        _ request: GenerationRequest, maximumParts: Int = maximumParts, areCopies: Bool = false
    ) -> Outcome {
        let isList = request.endpoint == .completions && request.promptShape == .many
        let several: HandoffReason = isList ? .promptList : .severalChoices
        guard [.completions, .chatCompletions, .native].contains(request.endpoint) else { return .alone(several) }
        // What the engine will refuse it shall refuse itself.
        guard let choices = request.choices, choices >= 1 else { return .alone(several) }
        let members = request.members
        // The engine draws more than it shows and ranks them by their probability.
        if members.isPresent("best_of"), members.int("best_of") != choices { return .alone(.bestOf) }
        // Its choices are the best of one search.
        if request.sampling.int("beam_width") ?? 1 > 1 { return .alone(.beamSearch) }
        if choices > 1, !areCopies {
            if members.isPresent("seed") { return .alone(.seededChoices) }
            // Greedy sampling of several choices is an error (vLLM `sampling_params.py`).
            if members.isPresent("temperature"), !members.isMeaningful("temperature") { return .alone(several) }
        }
        var prompts: [Range<Int>] = []
        if isList {
            guard let found = members.elements("prompt", limit: maximumParts) else { return .alone(.tooManyParts) }
            prompts = found
        }
        let (count, overflows) = max(1, prompts.count).multipliedReportingOverflow(by: choices)
        guard !overflows, count <= maximumParts else { return .alone(.tooManyParts) }
        return .split(RequestSplit(request: request, prompts: prompts, choices: choices))
    }

    private static let onlyOne = JSONSplice(removing: ["n", "best_of"])

    /// The request for one prompt and one choice; the same for all choices of a prompt.
    ///
    /// - Throws: never for a prompt of this request; ``DisaggError`` is what reading a body can throw.
    package func request(prompt: Int) throws(DisaggError) -> GenerationRequest {
        var splice = Self.onlyOne
        let body = request.body
        if request.endpoint == .native { splice = NativeSplit.splice(request.members) }
        if prompts.indices.contains(prompt),
            let element = body.getSlice(
                at: body.readerIndex + prompts[prompt].lowerBound, length: prompts[prompt].count)
        {
            splice.set("prompt", large: element)
        }
        let pieces = splice.apply(to: body, request.table)
        var whole = ByteBuffer()
        whole.reserveCapacity(pieces.reduce(0) { $0 + $1.readableBytes })
        for piece in pieces { whole.writeImmutableBuffer(piece) }
        return try GenerationRequest(endpoint: request.endpoint, body: whole)
    }
}

extension MemberReader {
    /// Where an array's elements stand in the body; nil where there are more than `limit`.
    func elements(_ name: StaticString, limit: Int) -> [Range<Int>]? {
        body.withUnsafeReadableBytes { bytes in
            guard let array = table.value(of: name, in: bytes) else { return [] }
            var cursor = JSONCursor(UnsafeRawBufferPointer(rebasing: bytes[array]))
            guard cursor.openArray() else { return [] }
            var elements: [Range<Int>] = []
            // The body was checked: nothing is thrown.
            while (try? cursor.nextElement()) == true, let value = try? cursor.skipValue() {
                guard elements.count < limit else { return nil }
                elements.append(value.lowerBound + array.lowerBound..<value.upperBound + array.lowerBound)
            }
            return elements
        }
    }
}
