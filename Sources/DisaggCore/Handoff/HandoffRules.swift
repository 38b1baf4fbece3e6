/// What a hand-off protocol allows and demands: the rows of the protocol table, as data that the machine obeys.
package struct HandoffRules: Sendable, Equatable {
    /// How KV is freed that a finished prefill left behind and no decode will use.
    package enum Release: Sendable, Equatable {
        /// Nothing is held.
        case nothing
        /// The decoder that received the KV must run the prompt once: a throw-away decode of one token.
        case throwAwayDecode
        /// Any decoder is sent a request that it rejects, carrying the prefill's parameters: it tells the prefill engine.
        case rejectedDecode
    }

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

    package init(
        prefillMayBeCancelled: Bool = true, decodeMayBeCancelledBeforeHead: Bool = true, expectedNotices: Int = 0,
        release: Release = .nothing, prefillOutlivesDecoder: Bool = true, decodeMayBeRepeated: Bool = true,
        checksDecoderFirst: Bool = false
    ) {
        self.prefillMayBeCancelled = prefillMayBeCancelled
        self.decodeMayBeCancelledBeforeHead = decodeMayBeCancelledBeforeHead
        self.expectedNotices = expectedNotices
        self.release = release
        self.prefillOutlivesDecoder = prefillOutlivesDecoder
        self.decodeMayBeRepeated = decodeMayBeRepeated
        self.checksDecoderFirst = checksDecoderFirst
    }
}
