/// Why a request was served the way it was; shown in metrics, logs and the decision header.
package enum HandoffReason: String, Sendable, CaseIterable {
    /// Prefill and decode on different engines.
    case disaggregated
    /// The deployment has no hand-off.
    case noHandoff = "no-handoff"
    /// No prefill backend can be reached.
    case noPrefillBackend = "no-prefill-backend"
    /// The token limit is below 1 or unreadable: the decoder shall answer with its own error.
    case invalidLimit = "invalid-limit"
    /// No text prompt and no token ids: the decoder shall judge it.
    case noPrompt = "no-prompt"
    /// A list of prompts would leave the blocks of all but the first behind.
    case promptList = "prompt-list"
    /// Several choices of one prompt share one set of transfer parameters.
    case severalChoices = "several-choices"
    /// Prompt log-probabilities need the whole prompt computed where the answer is made.
    case promptLogprobs = "prompt-logprobs"
    /// The response continues one that a decoder stored.
    case storedResponse = "stored-response"
    /// The engine itself runs tools of this response, in several turns.
    case engineTools = "engine-tools"
    /// The prefill could end with a stop token, and this hand-off needs one that ends by its length.
    case prefillMayStop = "prefill-may-stop"
    /// The endpoint takes no id from its head, and this hand-off's legs find each other by it.
    case unnamedRequest = "unnamed-request"
    /// Several choices share one seed: which choice gets which numbers is the engine's business.
    case seededChoices = "seeded-choices"
    /// More choices are drawn than are wanted: the engine ranks them.
    case bestOf = "best-of"
    /// More prompts and choices than are split into pairs.
    case tooManyParts = "too-many-parts"
    /// Beam search.
    case beamSearch = "beam-search"
    /// The first token cannot come from the prefill engine: log-probabilities are asked for.
    case firstTokenLogprobs = "first-token-logprobs"
    /// The first token cannot come from the prefill engine: a stop string could span the seam.
    case firstTokenStop = "first-token-stop"
    /// The first token cannot come from the prefill engine: a parser or grammar must see the whole output.
    case firstTokenStructured = "first-token-structured"
    /// The first token cannot come from the prefill engine: sampling depends on the tokens already sampled.
    case firstTokenSampling = "first-token-sampling"
    /// The first token cannot come from the prefill engine: an option of the answer needs the whole output.
    case firstTokenOption = "first-token-option"
    /// The first token cannot come from the prefill engine: only completions and chats can be continued behind it.
    case firstTokenEndpoint = "first-token-endpoint"
    /// The first token is part of a character or hidden; its text is only known together with the next.
    case firstTokenPartial = "first-token-partial"
    /// The decoder's context length is not known yet, and the request sets no token limit.
    case contextLengthUnknown = "context-length-unknown"
    /// The prompt is so short that a hand-off would cost more than it saves.
    case shortPrompt = "short-prompt"
    /// The decoder has nearly all of the prompt's KV already.
    case cachedOnDecoder = "cached-on-decoder"
    /// Prefill engines have a queue while the decoder is idle.
    case prefillBusy = "prefill-busy"
    /// The engines that could serve it registered themselves with another transfer mode than the deployment's.
    case transferMode = "transfer-mode"
    /// The prefill engine rejected the request: the decoder shall judge it.
    case prefillRejected = "prefill-rejected"
    /// The prefill failed and no other could be tried.
    case prefillFailed = "prefill-failed"

    // Of requests that came to no engine:

    /// The body or a header cannot be read.
    case invalidRequest = "invalid-request"
    /// The hand-off can neither hand it off nor have a decoder serve it alone.
    case unsupportedRequest = "unsupported-request"
    /// No decode backend can be reached.
    case noDecodeBackend = "no-decode-backend"
    /// The prompt is larger than any decoder's buffer.
    case promptTooLarge = "prompt-too-large"
    /// All backends are full, and as many requests wait as may.
    case queueFull = "queue-full"
    /// No backend had room in time.
    case queueTimeout = "queue-timeout"
}
