internal import NIOCore

/// Rewriting that several KV connectors of vLLM share.
extension LegRewriting {
    /// The prefill's splice with `edit` made to it, as a leg.
    static func prefillLeg(
        _ request: GenerationRequest, endsByLength: Bool = false, _ edit: (inout JSONSplice) -> Void = { _ in }
    ) -> LegRequest {
        var splice = prefill(for: request, endsByLength: endsByLength)
        edit(&splice)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    /// The client's request with `kv_transfer_params` as `write` writes them.
    static func decodeLeg(_ request: GenerationRequest, _ write: (inout TextWriter) -> Void) -> LegRequest {
        var splice = stripping
        splice.set("kv_transfer_params", write: write)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    /// A completion whose `max_tokens` no context can hold: the decoder answers 400 and frees the prefill engine's blocks
    /// on its way.
    ///
    /// Source: vLLM 0.33.0 `generate/base/serving.py` 267-299; measured 0.07 s on real engines.
    static func rejectedLeg(
        _ request: GenerationRequest, requestID: String? = nil, _ write: (inout TextWriter) -> Void
    ) -> LegRequest {
        var body = ByteBuffer()
        body.writeText(reserving: 512) { json in
            json.write("{")
            if let model = request.members.raw("model") {
                json.write("\"model\":")
                json.write(model)
                json.write(",")
            }
            json.write(#""prompt":"x","max_tokens":1000000000,"kv_transfer_params":"#)
            write(&json)
            json.write("}")
        }
        return LegRequest(
            path: GenerationRequest.Endpoint.completions.rawValue, body: [body], requestID: requestID)
    }

    /// Reasons that hold for every protocol whose parameters belong to one prompt and one choice.
    static func singleReason(_ request: GenerationRequest) -> HandoffReason? {
        if let reason = commonReason(request) { return reason }
        if request.promptShape == .many { return .promptList }
        // The children of n > 1 share one parameters object: vLLM #43509.
        if request.choices != 1 || (request.sampling.int("best_of") ?? 1) > 1 { return .severalChoices }
        return nil
    }

    /// ``singleReason(_:)`` where the engine must report that the token limit ended the prefill.
    ///
    /// Mooncake and MoRIIO send KV only of a request whose engine status is `FINISHED_LENGTH_CAPPED`; after an end of
    /// sequence or a stop token they drop it in silence and the decoder hangs for minutes. Stop strings are matched behind
    /// the engine and do no harm. Source: vLLM 0.33.0 `mooncake_connector.py` 1206-1210, `moriio_connector.py` 1587-1591.
    static func lengthCappedReason(_ request: GenerationRequest) -> HandoffReason? {
        singleReason(request) ?? (canEndByLength(request) ? nil : .prefillMayStop)
    }

    /// ``singleReason(_:)`` where the legs find each other by the id in their heads.
    ///
    /// `/v1/responses` draws an id of its own. Source: vLLM 0.33.0 `openai/responses/protocol.py`, `request_id`.
    static func namedReason(_ request: GenerationRequest) -> HandoffReason? {
        singleReason(request) ?? (request.endpoint == .responses ? .unnamedRequest : nil)
    }

    /// The error for an endpoint that only takes its hand-off's fields on completions and chats, and whose decoders cannot
    /// serve it alone either; nil for those two.
    static func endpointRefusal(_ request: GenerationRequest, of engine: StaticString) -> DisaggError? {
        guard request.endpoint != .completions, request.endpoint != .chatCompletions else { return nil }
        return DisaggError(
            .badRequest,
            "\(engine) takes no hand-off on \(request.endpoint.rawValue); use /v1/completions or /v1/chat/completions")
    }

    /// A request id that carries both engines' addresses: `___prefill_addr_…___decode_addr_…_<32 hexadecimal digits>`.
    ///
    /// Source: vLLM `p2p_nccl_connector.py` before pull request 44854; vLLM 0.33.0 `moriio_common.py` 453-456.
    static func addressedID(_ attempt: HandoffAttempt, prefill: String, decode: String) -> String {
        "___prefill_addr_\(prefill)___decode_addr_\(decode)_\(attempt.id.description.dropFirst(4))"
    }
}
