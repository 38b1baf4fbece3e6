internal import NIOCore

/// Whether a hand-off pays, and what is told of how the request was served.
extension RequestDriver {
    /// Why the decoder that was chosen shall serve the request alone although it could be handed off; nil where it pays.
    func reasonNotToPay() -> HandoffReason? {
        let conditional = loop.shared.deployment.conditional
        guard conditional.isOn, let decode else { return nil }
        let facts = ConditionalHandoff.Facts(
            promptTokens: request.promptTokens(bytesPerToken: conditional.bytesPerToken),
            cachedOnDecoder: cachedOnDecoder(decode, conditional),
            // The shortest queue is the one that a good choice would take.
            prefillInFlight: loop.members.prefill.map(\.inFlight).min() ?? 0, decodeInFlight: decode.inFlight,
            decoderCanPrefill: machine.rules.decoderServesAlone)
        return ConditionalHandoff.reasonToDecodeAlone(facts, conditional)
    }

    /// Tokens of the prompt whose KV a decoder has; 0 where nobody knows.
    private func cachedOnDecoder(_ decode: BackendState, _ conditional: ConditionalSettings) -> Int {
        guard let prefixes = loop.shared.decoderPrefixes else { return 0 }
        let facts = loop.facts(of: request, from: origin)
        promptKeys = facts.prefixKeys
        return prefixes.cachedTokens(
            of: request, facts, on: decode, in: loop.shared.pool, bytesPerToken: conditional.bytesPerToken, at: .now())
    }

    /// The decoder has the prompt's KV from now on.
    func noteDecoderHasPrompt() {
        guard let decode, !promptKeys.isEmpty else { return }
        loop.shared.decoderPrefixes?.note(promptKeys, on: decode, at: .now())
    }

    /// How the request is being served.
    var decision: HandoffDecision {
        var decision = HandoffDecision(handoff: loop.shared.deployment.handoff, reason: reason)
        if decision.isDisaggregated { decision.prefill = prefill?.backend.id }
        decision.decode = decode?.backend.id
        decision.retries = retriesMade
        decision.failed = (triedPrefill + triedDecode).map(\.backend.id)
        return decision
    }

    /// The answer's line with the decision; nil where the deployment does not show it.
    var decisionLine: String? { settings.requests.showsDecision ? decision.line : nil }
}
