/// vLLM's `NixlPushConnector`: the prefill engine writes its blocks into the decoder's.
///
/// Nothing is read from the prefill's answer, so the decoder is asked first: it registers its blocks while the prefill is
/// computed. The two engines pair the legs by the request id, the same on both and of the same endpoint; the prefill engine's
/// coordinates must be known beforehand, hence a fixed `engine_id` in its `--kv-transfer-config`. `transfer_id` is what newer
/// engines pair by; 0.33.0 ignores it. Source: vLLM 0.33.0 `nixl/push_scheduler.py` 184-187, `push_worker.py` 418-448.
///
/// | event | rule |
/// |---|---|
/// | the client leaves | cancel both legs |
/// | the prefill fails | cancel the decode at once, then a new pair with a fresh id |
/// | the decode fails | cancel the prefill, then a new pair with a fresh id |
/// | the prefill is done and the decoder cannot take it | nothing can be sent; the engine's lease (30 s) frees the blocks |
package struct NixlPushProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// Creates the protocol.
    package init(fallsBack: Bool = true) {
        rules = .pairedByID(fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.namedReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var leg = LegRewriting.prefillLeg(request) { splice in
            splice.set("kv_transfer_params") { json in
                json.write(#"{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":"xfer-"#)
                json.write(attempt.id.description)
                json.write("\"}")
            }
        }
        leg.requestID = attempt.id.description
        leg.dataParallelRank = attempt.prefillRank
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        let prefill = attempt.pair.prefill.transfer
        var leg = LegRewriting.decodeLeg(request) { json in
            json.write(#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_engine_id":"#)
            // vLLM appends the rank to a configured id where there are several (`v1/engine/core.py` 1488-1494).
            json.writeJSON(attempt.prefillRank.map { "\(prefill.engineID)_dp\($0)" } ?? prefill.engineID)
            json.write(#","remote_host":"#)
            json.writeJSON(prefill.host)
            json.write(#","remote_port":"#)
            json.writeDecimal(prefill.sideChannelPort + (attempt.prefillRank ?? 0))
            json.write(#","tp_size":"#)
            json.writeDecimal(prefill.tensorParallel)
            json.write(#","pp_size":"#)
            json.writeDecimal(prefill.pipelineParallel)
            json.write(#","transfer_id":"xfer-"#)
            json.write(attempt.id.description)
            json.write("\"}")
        }
        leg.requestID = attempt.id.description
        leg.dataParallelRank = attempt.decodeRank
        return leg
    }
}
