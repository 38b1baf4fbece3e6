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
            prefillInFlight: loop.shared.pool.prefill.map { others($0, held: heldPrefill) }.min() ?? 0,
            decodeInFlight: others(decode, held: heldDecode),
            decoderCanPrefill: machine.rules.decoderServesAlone)
        return ConditionalHandoff.reasonToDecodeAlone(facts, conditional)
    }

    /// Requests at a backend but for this one, which its choice has counted already.
    private func others(_ state: BackendState, held: BackendState?) -> Int {
        max(0, state.inFlight - (state === held ? 1 : 0))
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
