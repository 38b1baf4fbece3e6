/// LMCache before 0.3.3 (`enable_nixl`): prefill first, then the client's request to the decoder; KV is matched by token hash.
///
/// There is no id, no notification and nothing to release. Tags of the client go to both legs, because they are part of the
/// cache keys. Source: LMCache `examples/disagg_prefill` of 0.3.1.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel whichever leg runs; nothing is held |
/// | the prefill fails | try another pair; at last the decoder alone, which is always correct |
/// | the decoder starts before the store is complete (LMCache #1413) | it computes what is missing |
package struct LMCacheLegacyProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    package init(fallsBack: Bool = true) { rules = HandoffRules(fallsBack: fallsBack) }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.commonReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        LMCacheTags.leg(request, path: request.endpoint, LegRewriting.prefill(for: request))
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        LMCacheTags.leg(request, path: request.endpoint, LegRewriting.stripping)
    }
}

/// LMCache's multi-process server (`LMCacheMPConnector`): as ``LMCacheLegacyProtocol``, but the decode waits until every
/// worker of the prefill engine told that the KV is stored.
///
/// The workers' telemetry (`request_store_finished`) names the engine's internal request ids, so the prefill leg gets a
/// request id of ours; ``RequestID/find(in:)`` finds it again. Source: LMCache 0.5.6
/// `integration/vllm/vllm_multi_process_adapter.py` 1539-1550.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel whichever leg runs; nothing is held |
/// | the telemetry does not come in time | the decode is sent all the same; it computes what is missing |
/// | the decode fails before its first byte | another decoder, same prefill: the store is shared |
package struct LMCacheMPProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    ///
    /// - Parameter workers: workers of one prefill engine that store, each of which reports; 1 or more.
    package init(workers: Int, fallsBack: Bool = true) {
        rules = HandoffRules(expectedNotices: workers, fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        // Each prompt of a list, and each choice, is a request of its own to the engine.
        LegRewriting.namedReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var leg = LMCacheTags.leg(request, path: request.endpoint, LegRewriting.prefill(for: request))
        leg.requestID = attempt.id.description
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        LMCacheTags.leg(request, path: request.endpoint, LegRewriting.stripping)
    }
}
