/// llm-d: each decoder stands behind a side-car that asks the prefill engine which the request's header names.
///
/// There is one leg. The side-car rewrites, waits and merges; without the header it lets the decoder serve alone. Source:
/// llm-d-inference-scheduler `pkg/common/routing/common.go` 10-17, `x-prefiller-host-port`.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel the leg; the side-car does the rest |
/// | the leg fails before its first byte | a new pair |
/// | no prefill engine can be named | no header: the decoder serves alone |
package struct SidecarProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    package init(fallsBack: Bool = true) {
        rules = HandoffRules(
            dispatch: .delegated, prefillOutlivesDecoder: false, decodeMayBeRepeated: false, fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.singleReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        LegRewriting.prefillLeg(request)
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        var leg = decodeAloneLeg(request)
        leg.prefiller = attempt.pair.prefill.authority
        return leg
    }
}
