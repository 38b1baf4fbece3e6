package import NIOCore

/// Remembers the tokens of a greedy stream, so that another decoder can go on where it breaks.
///
/// The decoder is asked for token ids (`return_token_ids`); they are taken out of the chunks again. With temperature 0 the
/// next token is a function of the tokens before it, so a second decoder continues the same text. Source of the fields: vLLM
/// 0.33.0, `prompt_token_ids` in the first chunk, `token_ids` in each.
package final class StreamRecorder: AnswerRewriter {
    /// More tokens than this are not remembered; such a stream is not continued.
    package static let maximumTokens = 1 << 20

    private let request: GenerationRequest
    private var promptTokens: [Int] = []
    private var tokens: [Int] = []
    /// The first chunk's `id`, `created` and `model`, as JSON text.
    private var head: (id: ByteBuffer, created: ByteBuffer, model: ByteBuffer)?
    private var isFinished = false
    private var isBroken = false

    /// Creates a recorder; nil for a request that could not be continued.
    package init?(_ request: GenerationRequest) {
        guard request.isStream, request.members.equalsZero("temperature"),
            // What has to be seen whole cannot be continued by another engine either.
            FirstTokenMerge.reasonToDecodeAlone(request) == nil
        else { return nil }
        self.request = request
    }

    /// A decode leg that tells token ids.
    package static func asking(_ leg: LegRequest) -> LegRequest {
        var body = ByteBuffer()
        for piece in leg.body { body.writeImmutableBuffer(piece) }
        var splice = JSONSplice()
        splice.set("return_token_ids", literal: "true")
        var leg = leg
        if let spliced = splice.applied(to: body) { leg.body = [spliced] }
        return leg
    }

    // MARK: Recording

    package override func writeEvent(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        let places = StreamEventPlaces(reading: data)
        guard places.isChunk else { return super.writeEvent(data, to: &output) }
        record(places, data)
        guard places.hasIDs, let hidden = places.hidingIDs(in: data) else {
            return super.writeEvent(data, to: &output)
        }
        hidden.withUnsafeReadableBytes { super.writeEvent($0, to: &output) }
    }

    private func record(_ places: StreamEventPlaces, _ data: UnsafeRawBufferPointer) {
        func copy(_ range: Range<Int>) -> ByteBuffer {
            ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: data[range]))
        }
        if head == nil { head = (copy(places.id), copy(places.created), copy(places.model)) }
        if places.isFinished { isFinished = true }
        guard !isBroken else { return }
        if !places.promptTokens.isEmpty, promptTokens.isEmpty {
            promptTokens = StreamEventPlaces.integers(data, places.promptTokens) ?? []
        }
        guard !places.tokens.isEmpty else { return }
        guard let more = StreamEventPlaces.integers(data, places.tokens),
            tokens.count + more.count <= Self.maximumTokens
        else {
            isBroken = true
            return
        }
        tokens += more
    }

    // MARK: Continuing

    /// Whether another decoder can go on.
    package var canContinue: Bool {
        !isFinished && !isBroken && head != nil && !promptTokens.isEmpty && !tokens.isEmpty
    }

    /// What continues the stream.
    ///
    /// - Parameter contextLength: the decoder's longest sequence in tokens, where it is known.
    /// - Returns: nil where nothing can: the limit of tokens is reached, or is not known.
    package func continuation(contextLength: Int?) -> StreamContinuation? {
        guard canContinue, let head else { return nil }
        let limit: Int
        if let own = request.tokenLimit {
            limit = own
        } else if request.endpoint == .completions {
            limit = 16
        } else if let contextLength {
            limit = contextLength - promptTokens.count
        } else {
            return nil
        }
        guard limit > tokens.count else { return nil }
        var mould = ByteBuffer()
        mould.writeText(reserving: 512) { json in
            json.write("{\"id\":")
            json.write(head.id)
            json.write(",\"created\":")
            json.write(head.created)
            json.write(",\"model\":")
            json.write(head.model)
            json.write(",\"choices\":[{\"text\":\"\"}],\"usage\":{\"prompt_tokens\":")
            json.writeDecimal(promptTokens.count)
            json.write("}}")
        }
        let answer = PrefillAnswer(status: 200, body: mould, contextLength: contextLength)
        return StreamContinuation(
            leg: FirstTokenMerge.continuationLeg(
                request, tokens: promptTokens + tokens, limit: limit - tokens.count,
                minimum: request.minimumTokens - tokens.count),
            merge: FirstTokenMerge(request, answer: answer, tokensBefore: tokens.count))
    }
}

/// How a broken stream goes on at another decoder.
package struct StreamContinuation {
    package var leg: LegRequest
    /// What makes the second decoder's events those of the first one's stream.
    package var merge: FirstTokenMerge
}
