/// Prefill first, then the untouched request to the decoder; KV is found by content, nothing is named in the request.
///
/// Serves every store that both engines share (LMCache with a remote server, MooncakeStore, ExampleConnector) and LMCache
/// before 0.3.3 (`enable_nixl`), whose proxy waits for nothing but the prefill's answer. Source: LMCache
/// `examples/disagg_prefill` of 0.3.1; vLLM `examples/others/lmcache/disagg_prefill_lmcache_v1`.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel whichever leg runs; nothing is held |
/// | the prefill fails | try another pair; at last the decoder alone, which is always correct |
/// | the decode fails before its first byte | another decoder, same prefill |
package struct PlainProtocol: HandoffProtocol {
    package let rules = HandoffRules()

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.commonReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, pair: BackendPair, id: RequestID) -> LegRequest {
        LegRequest(
            path: request.endpoint.rawValue,
            body: LegRewriting.prefill(for: request).apply(to: request.body, request.table))
    }

    package func releaseLeg(_ request: GenerationRequest, answer: PrefillAnswer?) -> LegRequest? { nil }
}

/// No hand-off: a decode backend serves the whole request.
package struct NoHandoffProtocol: HandoffProtocol {
    package let rules = HandoffRules()

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? { .noHandoff }

    package func prefillLeg(_ request: GenerationRequest, pair: BackendPair, id: RequestID) -> LegRequest {
        decodeAloneLeg(request)
    }

    package func releaseLeg(_ request: GenerationRequest, answer: PrefillAnswer?) -> LegRequest? { nil }
}
