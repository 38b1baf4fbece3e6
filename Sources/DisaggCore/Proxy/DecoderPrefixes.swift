internal import NIOCore

/// Which prompts' KV the decoders have: what they answered before, or what they say themselves (KV events).
///
/// A prompt counts from its answer on, not from its pick: one that never reached its decoder is not there.
final class DecoderPrefixes: Sendable {
    private let index: PrefixIndex
    private let events: KVEventsPolicy?
    private let guesses: Bool

    /// - Parameters:
    ///   - events: the decoders' policy where they report their blocks.
    ///   - guesses: whether decoders keep what they answered.
    init(_ settings: PrefixCacheSettings, events: KVEventsPolicy?, guesses: Bool) {
        self.guesses = guesses
        index = PrefixIndex(maximumBlocks: settings.maximumBlocks, lifetime: settings.lifetime.nanoseconds)
        self.events = events
    }

    /// The facts that ``cachedTokens(of:_:on:in:bytesPerToken:at:)`` reads.
    var needs: FactSet {
        var needs: FactSet = guesses ? .prefixKeys : []
        if events != nil { needs.insert(.tokenIDs) }
        return needs
    }

    /// Tokens of a prompt that a decoder has, 0 where nothing is known.
    ///
    /// - Parameter bytesPerToken: for prompts of text.
    func cachedTokens(
        of request: GenerationRequest, _ facts: RequestFacts, on decode: BackendState, in pool: BackendPool,
        bytesPerToken: Double, at now: NIODeadline
    ) -> Int {
        if let told = events?.heldTokens(facts, serial: decode.meter.serial) { return told }
        guard guesses else { return 0 }
        let time = now.uptimeNanoseconds
        let candidates = Candidates(pool.snapshot.meters(.decode), now: time)
        let known = index.match(facts.prefixKeys, now: time).valid(among: candidates)
            .tokens(serial: decode.meter.serial)
        guard known > 0 else { return 0 }
        // Its length was taken for text; ids take other room in JSON.
        let bytes = known * PrefixBlocks.bytesPerToken
        let whole = RequestFactsReader.promptBytes(of: request)
        let share = Double(bytes) / Double(max(bytes, whole))
        return Int(share * Double(request.promptTokens(bytesPerToken: bytesPerToken)))
    }

    /// A decoder has answered a prompt.
    func note(_ keys: [UInt64], on decode: BackendState, at now: NIODeadline) {
        guard guesses else { return }
        index.insert(keys, serial: decode.meter.serial, now: now.uptimeNanoseconds)
    }
}
