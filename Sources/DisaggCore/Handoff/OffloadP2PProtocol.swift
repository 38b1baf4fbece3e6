/// The P2P tier of vLLM's `OffloadingConnector`: the prefill engine offers its blocks under an id, the decoder loads them.
///
/// Nothing is read from the prefill's answer and the order is free; the decoder goes first, so that it waits for the blocks
/// instead of the blocks for it. Where they do not come it computes the prompt itself after 30 s. Source: vLLM 0.33.0
/// `v1/kv_offload/tiering/p2p/manager.py` 56, 88-178, 433-463.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel both legs |
/// | the prefill fails | cancel the decode at once, then a new pair with a fresh id |
/// | the decode fails | cancel the prefill, then a new pair with a fresh id |
/// | blocks that nobody loads | nothing can be sent; the engine drops them after 60 s |
package struct OffloadP2PProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    package init(fallsBack: Bool = true) {
        rules = .pairedByID(fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.singleReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var leg = LegRewriting.prefillLeg(request) { splice in
            splice.set("kv_transfer_params") { json in
                json.write(#"{"remote_decoder":{"kv_request_id":""#)
                json.write(attempt.id.description)
                json.write("\"}}")
            }
        }
        leg.dataParallelRank = attempt.prefillRank
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        let prefill = attempt.pair.prefill.transfer
        var leg = LegRewriting.decodeLeg(request) { json in
            json.write(#"{"remote_prefiller":{"kv_request_id":""#)
            json.write(attempt.id.description)
            json.write(#"","remote_host":"#)
            json.writeJSON(prefill.host)
            json.write(#","remote_port":"#)
            json.writeDecimal(prefill.p2pPort + (attempt.prefillRank ?? 0))
            json.write("}}")
        }
        leg.dataParallelRank = attempt.decodeRank
        return leg
    }
}
