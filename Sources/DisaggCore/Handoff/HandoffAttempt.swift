package import NIOCore

/// What one attempt at a hand-off was drawn for: a pair, ids and ranks. A retry draws all of it anew.
///
/// Engines find each other's KV by these ids, so one that is used twice makes a decoder read another request's KV, and
/// two SGLang schedulers crash (SGLang issue 40125).
package struct HandoffAttempt: Sendable {
    package var pair: BackendPair {
        get { ends.pair }
        set { ends = Ends(newValue) }
    }
    /// Unguessable and never used again.
    package var id: RequestID
    /// The data-parallel rank of the prefill engine that serves the attempt; nil where it has one rank.
    package var prefillRank: Int?
    /// The data-parallel rank of the decode engine that serves the attempt; nil where it has one rank.
    package var decodeRank: Int?
    /// What the prefill engine told about itself.
    package var facts: EngineFacts
    /// The parameters that the last turn of the conversation left at its decoder, to be used once.
    package var previousTurn: ByteBuffer?

    /// Two backends are two dozen strings and lists; an attempt is passed around too often to copy them.
    private final class Ends: Sendable {
        let pair: BackendPair
        init(_ pair: BackendPair) { self.pair = pair }
    }
    private var ends: Ends

    package init(
        pair: BackendPair, id: RequestID, prefillRank: Int? = nil, decodeRank: Int? = nil,
        facts: EngineFacts = EngineFacts(), previousTurn: ByteBuffer? = nil
    ) {
        ends = Ends(pair)
        self.id = id
        self.prefillRank = prefillRank
        self.decodeRank = decodeRank
        self.facts = facts
        self.previousTurn = previousTurn
    }
}
