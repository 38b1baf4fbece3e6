/// `P2pNcclConnector` of vLLM before June 2026 (pull request 44854 removed it): the prefill engine puts its KV into the decoder,
/// and both find it by a request id that carries both engines' addresses.
///
/// Both engines need `VLLM_DISABLE_REQUEST_ID_RANDOMIZATION=1` from vLLM 0.14 on. A decoder waits without end for a tensor
/// that does not come, so it is never asked for a request whose prefill did not end well, and never without a prefill.
/// Source: vLLM `p2p_nccl_connector.py`; vLLM issues 42839, 34277, 33947.
///
/// | event | rule |
/// |---|---|
/// | the client leaves during the prefill | it runs on: half of its KV in the decoder could not be taken out; then a throw-away decode |
/// | the client leaves before the decode's first byte | the decode runs on until it, then it is cancelled |
/// | the prefill fails | no decode: a new pair with a fresh id, at last an error |
/// | the decoder rejects the request | a throw-away decode with the same id takes the KV out |
/// | several choices | one hand-off each: their ids in the decoder are none that a prefill of one choice has sent |
/// | the decode fails after it was sent | a new pair; no release, as a decode that finds nothing would hang the decoder |
package struct P2pNCCLProtocol: HandoffProtocol {
    package let rules = HandoffRules(
        prefillMayBeCancelled: false, decodeMayBeCancelledBeforeHead: false, release: .throwAwayDecode,
        prefillOutlivesDecoder: false, decodeMayBeRepeated: false, checksDecoderFirst: true, releaseMayRepeat: false,
        decoderServesAlone: false)

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? { nil }

    package func refusal(_ request: GenerationRequest) -> DisaggError? {
        if let refusal = LegRewriting.endpointRefusal(request, of: "P2pNcclConnector") { return refusal }
        guard request.choices != 1 || (request.members.int("best_of") ?? 1) > 1 else { return nil }
        return DisaggError(
            .badRequest, "P2pNcclConnector hands over one choice a request; send one request for each", parameter: "n")
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var leg = LegRewriting.prefillLeg(request)
        leg.requestID = Self.requestID(attempt)
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        var leg = decodeAloneLeg(request)
        leg.requestID = Self.requestID(attempt)
        return leg
    }

    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        prefillLeg(request, attempt)
    }

    private static func requestID(_ attempt: HandoffAttempt) -> String {
        LegRewriting.addressedID(
            attempt, prefill: zmqAddress(attempt.pair.prefill.transfer),
            decode: zmqAddress(attempt.pair.decode.transfer))
    }

    private static func zmqAddress(_ address: KVTransferAddress) -> String {
        address.registeredAddress ?? Endpoint(host: address.host, port: address.zmqPort).description
    }
}
