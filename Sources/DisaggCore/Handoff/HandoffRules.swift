/// What a hand-off protocol allows and demands: the rows of the protocol table, as data that the machine obeys.
package struct HandoffRules: Sendable, Equatable {
    /// In which order the legs of a pair are sent.
    package enum Dispatch: Sendable, Equatable {
        /// The decode needs what the prefill's answer says: it is sent after it.
        case sequential
        /// Neither leg needs the other's answer: both are sent at once.
        case concurrent
        /// As ``concurrent``, but the prefill is sent only after the decode went out: the decoder must wait for it.
        case decodeFirst
        /// The decoder's own side-car asks the prefill engine that the request names: there is one leg.
        case delegated
    }

    /// How KV is freed that a finished prefill left behind and no decode will use.
    package enum Release: Sendable, Equatable {
        /// Nothing is held, or nothing can be done: the engine frees it by a time limit of its own.
        case nothing
        /// The decoder that received the KV must run the prompt once: a throw-away decode of one token.
        case throwAwayDecode
        /// Any decoder is sent a request that it rejects, carrying the prefill's parameters: it tells the prefill engine.
        case rejectedDecode
    }

    package var dispatch: Dispatch
    /// Whether a prefill in flight may be cancelled by closing its connection.
    package var prefillMayBeCancelled: Bool
    /// Whether a decode that was handed KV may be cancelled before its first byte.
    package var decodeMayBeCancelledBeforeHead: Bool
    /// Notifications that must come before the decode starts.
    package var expectedNotices: Int
    package var release: Release
    /// Whether a decode that could not be connected may be retried on another decoder with the same finished prefill.
    package var prefillOutlivesDecoder: Bool
    /// Whether a decode that was sent and failed before its first byte may be retried with the same prefill.
    package var decodeMayBeRepeated: Bool
    /// Whether the decoder's HTTP port is tried before the prefill is sent. A dead receiver blocks an LMCache sender, and
    /// without a decoder nobody can free a NIXL prefill's blocks.
    package var checksDecoderFirst: Bool
    /// How long a finished prefill's KV may be handed to a decode. After it the engine frees the KV itself: parameters
    /// older than this are neither used nor released. Nil where the KV has no such limit.
    package var lease: Duration?
    /// Whether a release is harmless where nothing tells if the decoder read the KV already.
    package var releaseMayRepeat: Bool
    /// Whether a decoder can compute a whole request by itself. One that cannot is never asked to.
    package var decoderServesAlone: Bool
    /// Whether a request whose prefill failed for the last time is served by a decoder alone instead of with an error.
    package var fallsBack: Bool
    /// Whether the decoder's answer is held back until the prefill engine is known to have taken the request: the decoder
    /// would answer with garbage where it did not.
    package var decodeWaitsForPrefill: Bool

    /// Whether a decode fails where its prefill engine is gone: it reads the KV from there, or waits for it.
    package var decodeNeedsPrefill: Bool {
        dispatch != .sequential || (release != .throwAwayDecode && !decodeMayBeRepeated)
    }

    package init(
        dispatch: Dispatch = .sequential, prefillMayBeCancelled: Bool = true,
        decodeMayBeCancelledBeforeHead: Bool = true, expectedNotices: Int = 0, release: Release = .nothing,
        prefillOutlivesDecoder: Bool = true, decodeMayBeRepeated: Bool = true, checksDecoderFirst: Bool = false,
        lease: Duration? = nil, releaseMayRepeat: Bool = true, decoderServesAlone: Bool = true,
        fallsBack: Bool = true, decodeWaitsForPrefill: Bool = false
    ) {
        self.dispatch = dispatch
        self.prefillMayBeCancelled = prefillMayBeCancelled
        self.decodeMayBeCancelledBeforeHead = decodeMayBeCancelledBeforeHead
        self.expectedNotices = expectedNotices
        self.release = release
        self.prefillOutlivesDecoder = prefillOutlivesDecoder
        self.decodeMayBeRepeated = decodeMayBeRepeated
        self.checksDecoderFirst = checksDecoderFirst
        self.lease = lease
        self.releaseMayRepeat = releaseMayRepeat
        self.decoderServesAlone = decoderServesAlone
        self.fallsBack = fallsBack
        self.decodeWaitsForPrefill = decodeWaitsForPrefill
    }

    /// Engines that find each other by an id which both legs carry: the decoder waits for the KV, and what either leg has used
    /// of the pair cannot be used again.
    static func pairedByID(fallsBack: Bool) -> HandoffRules {
        HandoffRules(
            dispatch: .decodeFirst, prefillOutlivesDecoder: false, decodeMayBeRepeated: false, checksDecoderFirst: true,
            fallsBack: fallsBack)
    }
}
