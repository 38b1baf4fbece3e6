/// Prefill first, then the untouched request to the decoder; KV is found by content, nothing is named in the request.
///
/// Serves every store that both engines share: MooncakeStore, HF3FS, FlexKV, ExampleConnector, LMCache with a remote server.
/// Source: vLLM `examples/others/lmcache/disagg_prefill_lmcache_v1`.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel whichever leg runs; nothing is held |
/// | the prefill fails | try another pair; at last the decoder alone, which is always correct |
/// | the decode fails before its first byte | another decoder, same prefill |
package struct PlainProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    ///
    /// - Parameter fallsBack: whether a decoder serves a request alone whose prefill failed.
    package init(fallsBack: Bool = true) { rules = HandoffRules(fallsBack: fallsBack) }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.commonReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        LegRewriting.prefillLeg(request)
    }
}

/// No hand-off: a decode backend serves the whole request.
package struct NoHandoffProtocol: HandoffProtocol {
    package let rules = HandoffRules()

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? { .noHandoff }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        decodeAloneLeg(request)
    }
}
