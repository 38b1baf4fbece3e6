/// A prefill and a decode backend that were chosen.
package struct PickedPair: Sendable {
    /// Nil for a request without hand-off.
    package let prefill: BackendState?
    package let decode: BackendState
    /// Tokens of the prompt that need not be computed, as far as is known.
    package var cachedTokens = 0
}
