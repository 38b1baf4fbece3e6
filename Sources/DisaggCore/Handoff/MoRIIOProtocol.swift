internal import NIOCore

/// vLLM's `MoRIIOConnector` (AMD): reading is one leg after the other, writing is both at once.
///
/// Both legs carry a request id with both engines' addresses, and the same transfer id. Which rank of the prefill engine
/// serves must be agreed on by both, so the proxy chooses it. Source: vLLM 0.33.0 `moriio_connector.py` 952-977, 1028,
/// 1587-1645, `moriio_common.py` 453-456, 612.
///
/// | event | read | write |
/// |---|---|---|
/// | the prefill's token ends the sequence | it would never be handed over: ignored on this leg | the same |
/// | the client leaves | cancel the leg; after the prefill, release | cancel both legs |
/// | the prefill fails | a new pair with fresh ids | cancel the decode at once, then a new pair |
/// | the decode fails | release, then a new pair | cancel the prefill or release, then a new pair |
/// | nobody will decode | any decoder is sent a request it rejects, with the parameters (else held for 3600 s) | the same (60 s) |
package struct MoRIIOProtocol: HandoffProtocol {
    package let mode: HandoffOptions.MoRIIOMode
    package let rules: HandoffRules

    /// Creates the protocol.
    package init(mode: HandoffOptions.MoRIIOMode, fallsBack: Bool = true) {
        self.mode = mode
        rules = HandoffRules(
            dispatch: mode == .read ? .sequential : .concurrent, release: .rejectedDecode,
            prefillOutlivesDecoder: false, decodeMayBeRepeated: false, checksDecoderFirst: true, fallsBack: fallsBack)
    }

    /// An engine of the other mode is not used: one that writes waits for a decoder that a reader never tells, and the legs
    /// of one that reads would be sent before there is anything to read.
    package var transferMode: String? { mode == .read ? "READ" : "WRITE" }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.lengthCappedReason(request) ?? LegRewriting.namedReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        let decode = attempt.pair.decode.transfer
        var leg = LegRewriting.prefillLeg(request, endsByLength: true) { splice in
            splice.set("kv_transfer_params") { json in
                json.write(#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"#)
                json.write(#""remote_block_ids":null,"transfer_id":"tx-"#)
                json.write(attempt.id.description)
                json.write(#"","remote_dp_size":"#)
                json.writeDecimal(decode.dataParallel)
                json.write(#","remote_tp_size":"#)
                json.writeDecimal(decode.tensorParallel)
                json.write("}")
            }
        }
        leg.requestID = Self.requestID(attempt)
        leg.dataParallelRank = attempt.prefillRank
        return leg
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        guard let parameters = parameters(attempt, answer) else { return decodeAloneLeg(request) }
        var splice = LegRewriting.stripping
        splice.set("kv_transfer_params", large: parameters)
        return LegRequest(
            path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table),
            requestID: Self.requestID(attempt), dataParallelRank: attempt.decodeRank)
    }

    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        parameters(attempt, answer).map { parameters in
            LegRewriting.rejectedLeg(request, requestID: Self.requestID(attempt)) { $0.write(parameters) }
        }
    }

    /// The decoder's parameters: the prefill answer's as they came, or where both legs go at once those that are known.
    private func parameters(_ attempt: HandoffAttempt, _ answer: PrefillAnswer?) -> ByteBuffer? {
        if mode == .read { return answer?.transferParameters }
        let prefill = attempt.pair.prefill.transfer
        var parameters = ByteBuffer()
        parameters.writeText(reserving: 512) { json in
            json.write(#"{"do_remote_prefill":true,"do_remote_decode":false,"remote_engine_id":"#)
            json.writeJSON("\(prefill.host):\(prefill.handshakePort)")
            json.write(#","remote_block_ids":null,"transfer_id":"tx-"#)
            json.write(attempt.id.description)
            json.write(#"","remote_host":"#)
            json.writeJSON(prefill.host)
            json.write(#","remote_handshake_port":"#)
            json.writeDecimal(prefill.handshakePort)
            json.write(#","remote_notify_port":"#)
            json.writeDecimal(prefill.notifyPort)
            json.write(#","remote_dp_size":"#)
            json.writeDecimal(prefill.dataParallel)
            json.write(#","remote_tp_size":"#)
            json.writeDecimal(prefill.tensorParallel)
            json.write(#","remote_dp_rank":"#)
            json.writeDecimal(attempt.prefillRank ?? 0)
            json.write(#","remote_dp_rank_override":true}"#)
        }
        return parameters
    }

    private static func requestID(_ attempt: HandoffAttempt) -> String {
        LegRewriting.addressedID(
            attempt, prefill: zmqAddress(attempt.pair.prefill.transfer),
            decode: zmqAddress(attempt.pair.decode.transfer))
    }

    private static func zmqAddress(_ address: KVTransferAddress) -> String {
        address.registeredAddress
            ?? "host:\(address.host),handshake:\(address.handshakePort),notify:\(address.notifyPort)"
    }
}
