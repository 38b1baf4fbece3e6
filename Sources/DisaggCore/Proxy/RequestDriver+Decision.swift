/// Whether a hand-off pays, and what is told of how the request was served.
extension RequestDriver {
    /// Why the decoder that was chosen shall serve the request alone although it could be handed off; nil where it pays.
    func reasonNotToPay() -> HandoffReason? {
        let conditional = loop.shared.deployment.conditional
        guard conditional.isOn, let decode else { return nil }
        let facts = ConditionalHandoff.Facts(
            promptTokens: request.promptTokens(bytesPerToken: conditional.bytesPerToken),
            cachedOnDecoder: cachedOnDecoder,
            // The shortest queue is the one that a good choice would take.
            prefillInFlight: loop.members.prefill.map(\.inFlight).min() ?? 0, decodeInFlight: decode.inFlight,
            decoderCanPrefill: machine.rules.decoderServesAlone)
        return ConditionalHandoff.reasonToDecodeAlone(facts, conditional)
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
