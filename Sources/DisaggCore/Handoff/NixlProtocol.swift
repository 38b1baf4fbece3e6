internal import NIOCore

/// vLLM's `NixlConnector` (pull): the decoder reads the prefill engine's blocks by the parameters of its answer.
///
/// The parameters go to the decoder verbatim, as raw JSON: block ids, ports and nulls must not change. The prefill engine
/// holds the blocks under a lease (30 s) until the decoder has read them. Source: vLLM 0.33.0
/// `kv_connector/v1/nixl/pull_scheduler.py` 135-293.
///
/// | event | rule |
/// |---|---|
/// | the client leaves during the prefill | cancel it: the engine frees its blocks (measured 0.6 s); where it had answered already, release |
/// | the client leaves during the decode | cancel it: the decoder tells the prefill engine (0.15–0.5 s) |
/// | nobody will decode | send any decoder a request it rejects, with the parameters: the cheapest release (0.07 s) |
/// | the decode could not be connected | another decoder, same parameters: nobody has read them |
/// | the decode was refused (429, 5xx) or broke before its answer | release: it may not have told the prefill engine |
/// | no decoder can be connected | no prefill is sent: nobody could free its blocks before their lease ends |
/// | the decode failed after it was sent | a new pair; used parameters are never replayed (vLLM #52234) |
package struct NixlProtocol: HandoffProtocol {
    package let rules = HandoffRules(
        release: .rejectedDecode, decodeMayBeRepeated: false, checksDecoderFirst: true)

    /// What asks a NIXL prefill engine to keep its blocks for a remote decoder.
    private static let prefillParameters: StaticString = """
        {"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,\
        "remote_host":null,"remote_port":null}
        """

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        if let reason = LegRewriting.commonReason(request) { return reason }
        if request.promptShape == .many { return .promptList }
        // The children of n > 1 share one parameters object: vLLM #43509.
        if request.choices != 1 || (request.sampling.int("best_of") ?? 1) > 1 { return .severalChoices }
        return nil
    }

    package func prefillLeg(_ request: GenerationRequest, pair: BackendPair, id: RequestID) -> LegRequest {
        var splice = LegRewriting.prefill(for: request)
        splice.set("kv_transfer_params", literal: Self.prefillParameters)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    package func decodeLeg(_ request: GenerationRequest, answer: PrefillAnswer) -> LegRequest {
        guard let parameters = answer.transferParameters else { return decodeAloneLeg(request) }
        var splice = LegRewriting.stripping
        splice.set("kv_transfer_params", large: parameters)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    /// A completion whose `max_tokens` no context can hold: the decoder answers 400 and frees the blocks on its way.
    ///
    /// Source: vLLM `generate/base/serving.py` 267-299; measured 0.07 s on real engines.
    package func releaseLeg(_ request: GenerationRequest, answer: PrefillAnswer?) -> LegRequest? {
        guard let parameters = answer?.transferParameters else { return nil }
        var body = ByteBuffer(string: "{")
        if let model = request.members.raw("model") {
            body.writeStaticString("\"model\":")
            body.writeImmutableBuffer(model)
            body.writeStaticString(",")
        }
        body.writeStaticString(#""prompt":"x","max_tokens":1000000000,"kv_transfer_params":"#)
        body.writeImmutableBuffer(parameters)
        body.writeStaticString("}")
        return LegRequest(path: GenerationRequest.Endpoint.completions.rawValue, body: [body])
    }
}
