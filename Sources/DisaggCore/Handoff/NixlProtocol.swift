internal import NIOCore

/// vLLM's `NixlConnector` (pull): the decoder reads the prefill engine's blocks by the parameters of its answer.
///
/// The parameters go to the decoder verbatim, as raw JSON: block ids, ports and nulls must not change. The prefill engine
/// holds the blocks under a lease (30 s) until the decoder has read them. Source: vLLM 0.33.0
/// `kv_connector/v1/nixl/pull_scheduler.py` 135-293.
///
/// With data-parallel prefill engines the answer's engine id, port and block lists are those of the rank that served it, so
/// nothing needs to be said about ranks.
///
/// With `bidirectional` a decoder's answer carries parameters of its own, with which the conversation's next prefill pulls
/// the blocks of prompt and answer back; see ``ConversationTurns``. Source: `pull_scheduler.py` 60-104.
///
/// | event | rule |
/// |---|---|
/// | the client leaves during the prefill | cancel it: the engine frees its blocks (measured 0.6 s); where it had answered already, release |
/// | the client leaves during the decode | cancel it: the decoder tells the prefill engine (0.15–0.5 s) |
/// | nobody will decode | send any decoder a request it rejects, with the parameters: the cheapest release (0.07 s) |
/// | the decode could not be connected | another decoder, same parameters: nobody has read them |
/// | the decode was refused (429, 5xx) or broke before its answer | release: it may not have told the prefill engine |
/// | the lease ended before a decode was sent | a new pair; the engine freed the blocks itself, and others may stand there |
/// | no decoder can be connected | no prefill is sent: nobody could free its blocks before their lease ends |
/// | the decode failed after it was sent | a new pair; used parameters are never replayed (vLLM #52234) |
package struct NixlProtocol: HandoffProtocol {
    package let rules: HandoffRules

    /// What asks a NIXL prefill engine to keep its blocks for a remote decoder.
    private static let prefillParameters: StaticString = """
        {"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"remote_block_ids":null,\
        "remote_host":null,"remote_port":null}
        """

    /// The edits of most requests, made once.
    private static let commonPrefill: JSONSplice = {
        var splice = LegRewriting.prefill
        splice.set("kv_transfer_params", literal: prefillParameters)
        return splice
    }()

    /// Creates the protocol.
    ///
    /// - Parameters:
    ///   - lease: how long the prefill engine keeps the blocks (`kv_lease_duration`).
    ///   - fallsBack: whether a decoder serves a request alone whose prefill failed.
    package init(lease: Duration = .seconds(30), fallsBack: Bool = true) {
        // The decoder must have taken the request in, and its first heartbeat must have come, before the lease ends.
        rules = HandoffRules(
            release: .rejectedDecode, decodeMayBeRepeated: false, checksDecoderFirst: true, lease: lease * 9 / 10,
            fallsBack: fallsBack)
    }

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? {
        LegRewriting.singleReason(request)
    }

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        if attempt.previousTurn == nil, request.endpoint == .completions || request.endpoint == .chatCompletions {
            return LegRequest(
                path: request.endpoint.rawValue, body: Self.commonPrefill.apply(to: request.body, request.table))
        }
        return LegRewriting.prefillLeg(request) { splice in
            if let turn = attempt.previousTurn {
                splice.set("kv_transfer_params", large: turn)
            } else {
                splice.set("kv_transfer_params", literal: Self.prefillParameters)
            }
        }
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        guard let parameters = answer?.transferParameters else { return decodeAloneLeg(request) }
        var splice = LegRewriting.stripping
        splice.set("kv_transfer_params", large: parameters)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        answer?.transferParameters.map { parameters in
            LegRewriting.rejectedLeg(request) { $0.write(parameters) }
        }
    }
}
