/// vLLM's `MooncakeConnector`: both legs at once, paired by a transfer id; the decoder pulls.
///
/// The decoder needs the prefill engine's bootstrap address and the engine id of the rank that serves the prefill; the id is
/// drawn anew at each start of the engine, so it is asked for (`/query`) before the first leg and again after a failure.
/// Source: vLLM 0.33.0 `mooncake_connector.py` 1098-1131, 1206-1222, `mooncake_utils.py` 20-178.
///
/// | event | rule |
/// |---|---|
/// | the prefill's token ends the sequence | it would never be sent: end-of-sequence and stop tokens are ignored on this leg |
/// | the client leaves | cancel both legs |
/// | the prefill fails | cancel the decode at once (it would wait for 540 s), then a new pair with a fresh transfer id |
/// | the decode fails while the prefill runs | cancel the prefill (it would wait for 480 s), then a new pair |
/// | the decode fails and the prefill is done | any decoder is sent a request it rejects, with the parameters: it tells P |
/// | the engine id is stale | the decode fails; the id is asked for again, then a new pair |
package struct MooncakeProtocol: HandoffProtocol {
    package let rules: HandoffRules
    package let neededFacts = NeededFacts.mooncakeEngineIDs

    /// Creates the protocol.
    package init(fallsBack: Bool = true) {
        rules = HandoffRules(
            dispatch: .concurrent, release: .rejectedDecode, prefillOutlivesDecoder: false, decodeMayBeRepeated: false,
            checksDecoderFirst: true, fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.lengthCappedReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        var leg = LegRewriting.prefillLeg(request, endsByLength: true) { splice in
            splice.set("kv_transfer_params") { json in
                json.write(#"{"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":"xfer-"#)
                json.write(attempt.id.description)
                json.write("\"}")
            }
        }
        leg.dataParallelRank = attempt.prefillRank
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        var leg = LegRewriting.decodeLeg(request) { Self.writeDecode(attempt, to: &$0) }
        leg.dataParallelRank = attempt.decodeRank
        return leg
    }

    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        LegRewriting.rejectedLeg(request) { Self.writeDecode(attempt, to: &$0) }
    }

    private static func writeDecode(_ attempt: HandoffAttempt, to json: inout TextWriter) {
        let prefill = attempt.pair.prefill.transfer
        let bootstrap = Endpoint(host: prefill.host, port: prefill.bootstrapPort)
        json.write(#"{"do_remote_decode":false,"do_remote_prefill":true,"remote_bootstrap_addr":"#)
        json.writeJSON("http://\(bootstrap)")
        json.write(#","remote_engine_id":"#)
        json.writeJSON(attempt.facts.engineIDs[attempt.prefillRank ?? 0] ?? "")
        json.write(#","transfer_id":"xfer-"#)
        json.write(attempt.id.description)
        json.write("\"}")
    }
}
