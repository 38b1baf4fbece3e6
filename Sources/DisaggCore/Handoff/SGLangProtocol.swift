/// SGLang: the same request to both engines at once, with the place and the number of a bootstrap room in it.
///
/// The prefill engine stops by itself after its first token; limits and stream stay as the client set them. A list of prompts
/// takes lists of hosts, ports and rooms. Several choices do not: the engines copy one prompt's room into every sample, and
/// the copies wait for each other's KV or hang, however the rooms are sent; so each choice is a hand-off of its own. The decoder's answer is the client's; it is held back until the
/// prefill engine's is known, because a decoder does not notice that its prefill was rejected and answers with garbage.
/// Prompt log-probabilities are the prefill engine's, see ``PromptLogprobMerge``. Where the prefill engine has data-parallel
/// ranks, one is chosen and both engines are told (`routed_dp_rank`, `disagg_prefill_dp_rank`); a client's own word on ranks
/// is not passed on.
/// Source: `sglang_router/mini_lb.py` 0.3.2, `sgl-model-gateway` `pd_router.rs`; SGLang issues 8177, 28651, 30233, 40125;
/// for the choices SGLang `managers/tokenizer_manager.py` `_handle_batch_request`, pull requests 24223, 26486, 30723, 40297.
///
/// | event | rule |
/// |---|---|
/// | a room is used twice | both schedulers crash: rooms are random, 63 bits, drawn for each attempt |
/// | a request without a room reaches an engine | it crashes: no engine is ever asked alone |
/// | the client leaves | cancel both legs |
/// | one leg fails | cancel the other at once (it would wait for 300 s), then a new pair with a fresh room |
/// | the prefill engine rejects the request | its error is the client's answer |
package struct SGLangProtocol: HandoffProtocol {
    package let rules = HandoffRules(
        dispatch: .concurrent, prefillOutlivesDecoder: false, decodeMayBeRepeated: false, checksDecoderFirst: true,
        decoderServesAlone: false, decodeWaitsForPrefill: true)

    /// More prompts than this in one request are refused: each needs a room.
    static let maximumBatch = 1024

    /// The samples of a prompt share its sampling parameters, seed and temperature included.
    package let choicesAreCopies = true

    package init() {}

    package func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason? { nil }

    package func refusal(_ request: GenerationRequest) -> DisaggError? {
        if request.endpoint != .native, let refusal = LegRewriting.endpointRefusal(request, of: "SGLang") {
            return refusal
        }
        guard request.choices == 1 else {
            return DisaggError(
                .badRequest,
                "SGLang hands over one choice a request; n must be a number from 1 to \(RequestSplit.maximumParts), the same for "
                    + "all prompts, and without best_of and beam search",
                parameter: request.endpoint == .native ? "sampling_params.n" : "n")
        }
        guard Self.batch(request) > Self.maximumBatch else { return nil }
        return DisaggError(
            .badRequest, "more than \(Self.maximumBatch) prompts in one request; send several requests",
            parameter: "\(request.promptMember)")
    }

    /// Ranks are the router's business. Source: SGLang `managers/io_struct.py`; `data_parallel_rank` is the older name.
    private static let stripping: JSONSplice = {
        var splice = LegRewriting.stripping
        for field in ["routed_dp_rank", "disagg_prefill_dp_rank", "data_parallel_rank", "decode_tp_size"]
            as [StaticString]
        {
            splice.remove(field)
        }
        return splice
    }()

    package func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest {
        leg(request, attempt) { splice in
            if let rank = attempt.prefillRank { splice.set("routed_dp_rank") { $0.writeDecimal(rank) } }
        }
    }

    private func leg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, _ edit: (inout JSONSplice) -> Void
    ) -> LegRequest {
        let prefill = attempt.pair.prefill.transfer
        // An IPv6 address stands in brackets, as the engine puts it into a URL.
        let host = prefill.host.contains(":") ? "[\(prefill.host)]" : prefill.host
        let count = min(Self.batch(request), Self.maximumBatch)
        let room = attempt.id.number
        // A list of one prompt is a batch, too.
        let isBatch = count > 1 || (request.endpoint == .native && request.promptShape == .many)
        var splice = Self.stripping
        func set(_ name: StaticString, _ write: (inout TextWriter, Int) -> Void) {
            splice.set(name) { json in
                guard isBatch else { return write(&json, 0) }
                json.write("[")
                for index in 0..<count {
                    if index > 0 { json.write(",") }
                    write(&json, index)
                }
                json.write("]")
            }
        }
        set("bootstrap_host") { json, _ in json.writeJSON(host) }
        set("bootstrap_port") { json, _ in json.writeDecimal(prefill.bootstrapPort) }
        set("bootstrap_room") { json, index in json.writeDecimal((room &+ index) & Int.max) }
        edit(&splice)
        return LegRequest(path: request.endpoint.rawValue, body: splice.apply(to: request.body, request.table))
    }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        leg(request, attempt) { splice in
            if let rank = attempt.decodeRank { splice.set("routed_dp_rank") { $0.writeDecimal(rank) } }
            if let rank = attempt.prefillRank { splice.set("disagg_prefill_dp_rank") { $0.writeDecimal(rank) } }
        }
    }

    package func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer {
        answer.tellsError ? .failed : .ready
    }

    /// How many rooms the request needs.
    private static func batch(_ request: GenerationRequest) -> Int {
        request.promptShape == .many ? max(1, request.members.elementCount(request.promptMember)) : 1
    }
}
