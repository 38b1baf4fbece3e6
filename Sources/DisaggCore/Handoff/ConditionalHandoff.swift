/// Decides whether a hand-off pays for one request: one decision with one reason, of facts that are given.
///
/// Sources of the idea: Dynamo's conditional disaggregation (prefill length and queue), llm-d's `pd-profile-handler`
/// (uncached suffix), TensorRT-LLM's `conditional_disagg_config.max_local_prefill_length`.
package enum ConditionalHandoff {
    /// What is known of a request and the pair it would get.
    package struct Facts: Sendable, Equatable {
        /// Tokens of the prompt, counted or estimated.
        package var promptTokens: Int
        /// Of these, tokens whose KV the decoder has; 0 where nobody knows.
        package var cachedOnDecoder: Int
        /// Requests at the prefill engine.
        package var prefillInFlight: Int
        /// Requests at the decoder.
        package var decodeInFlight: Int
        /// Whether the decoder can compute a prompt: SGLang's and other strict decoders cannot.
        package var decoderCanPrefill: Bool

        package init(
            promptTokens: Int, cachedOnDecoder: Int = 0, prefillInFlight: Int = 0, decodeInFlight: Int = 0,
            decoderCanPrefill: Bool = true
        ) {
            self.promptTokens = promptTokens
            self.cachedOnDecoder = cachedOnDecoder
            self.prefillInFlight = prefillInFlight
            self.decodeInFlight = decodeInFlight
            self.decoderCanPrefill = decoderCanPrefill
        }
    }

    /// Why the decoder shall serve the request alone; nil where it is handed off.
    ///
    /// The first rule that holds gives the reason, in the order: length, prefix, queue.
    package static func reasonToDecodeAlone(_ facts: Facts, _ settings: ConditionalSettings) -> HandoffReason? {
        guard facts.decoderCanPrefill else { return nil }
        if facts.promptTokens < settings.minimumPromptTokens { return .shortPrompt }
        if settings.minimumUncachedTokens > 0, facts.cachedOnDecoder > 0,
            facts.promptTokens - min(facts.cachedOnDecoder, facts.promptTokens) < settings.minimumUncachedTokens
        {
            return .cachedOnDecoder
        }
        if let queue = settings.prefillQueue, facts.prefillInFlight >= queue,
            facts.decodeInFlight <= settings.idleDecodeRequests
        {
            return .prefillBusy
        }
        return nil
    }
}

extension GenerationRequest {
    /// The prompt's length in tokens: counted where it is given as ids, else estimated from the bytes of its JSON text.
    ///
    /// Images in a chat are counted by their bytes, which is far too much: such a request is rather handed off.
    package func promptTokens(bytesPerToken: Double) -> Int {
        let members = members
        var bytes = 0
        switch endpoint {
        case .completions where promptShape == .tokens: return members.elementCount("prompt")
        case .generate: return members.elementCount("token_ids")
        case .native where promptShape == .tokens: return members.elementCount("input_ids")
        case .native: bytes = members.byteCount(promptMember)
        case .completions: bytes = members.byteCount("prompt")
        case .chatCompletions: bytes = members.byteCount("messages") + members.byteCount("tools")
        case .responses:
            bytes =
                members.byteCount("input") + members.byteCount("instructions") + members.byteCount("tools")
        case .messages:
            bytes = members.byteCount("messages") + members.byteCount("system") + members.byteCount("tools")
        }
        // A body has at most some gigabytes: the quotient of a divisor from 0.1 on fits.
        return Int((Double(bytes) / max(0.1, bytesPerToken)).rounded(.up))
    }
}
