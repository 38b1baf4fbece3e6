package import NIOCore

/// A prefill and a decode backend that serve one request together.
package struct BackendPair: Sendable, Hashable {
    package var prefill: Backend
    package var decode: Backend

    package init(prefill: Backend, decode: Backend) {
        self.prefill = prefill
        self.decode = decode
    }
}

/// What one leg sends: a path, a body in pieces that go out one after another, and what its head needs.
package struct LegRequest: Sendable {
    package var path: String
    package var body: [ByteBuffer]
    /// `X-Request-Id` where the engines find each other by it; nil sends the client's.
    package var requestID: String?
    /// `X-data-parallel-rank`: which rank of the engine must serve the leg; nil lets the engine choose.
    package var dataParallelRank: Int?
    /// `x-prefiller-host-port`: the prefill engine that a decoder's side-car is to ask.
    package var prefiller: String?

    package init(
        path: String, body: [ByteBuffer], requestID: String? = nil, dataParallelRank: Int? = nil,
        prefiller: String? = nil
    ) {
        self.path = path
        self.body = body
        self.requestID = requestID
        self.dataParallelRank = dataParallelRank
        self.prefiller = prefiller
    }

    /// Length of the body in bytes.
    package var bodyBytes: Int { body.reduce(0) { $0 + $1.readableBytes } }
}

/// A way to hand a prompt's KV from prefill to decode: rules for the machine, and pure functions that rewrite bodies.
package protocol HandoffProtocol: Sendable {
    /// What may be cancelled, awaited, released and retried.
    var rules: HandoffRules { get }

    /// What the engines must tell before the first leg is sent.
    var neededFacts: NeededFacts { get }

    /// The `transfer_mode` with which engines must register themselves; nil where they have none.
    var transferMode: String? { get }

    /// Whether several choices are copies of the request, each sampled by itself whatever its seed and temperature are.
    var choicesAreCopies: Bool { get }

    /// Why this request must go to a decoder alone; nil where it is handed off.
    func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason?

    /// The error for a request that can neither be handed off nor served by a decoder alone; nil where there is a way.
    func refusal(_ request: GenerationRequest) -> DisaggError?

    /// The prefill leg.
    func prefillLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt) -> LegRequest

    /// How a complete answer of the prefill with status 2xx is to be taken.
    func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer

    /// The decode leg; `answer` is the prefill's where the legs go out one after the other, else nil.
    func decodeLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?) -> LegRequest

    /// The leg that frees what the prefill left behind; nil where the answer left nothing.
    func releaseLeg(_ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?) -> LegRequest?

    /// What puts the prefill's first token in front of the decoder's answer; nil where the answer passes through raw.
    func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge?
}

extension HandoffProtocol {
    package var neededFacts: NeededFacts { [] }

    package var transferMode: String? { nil }

    package var choicesAreCopies: Bool { false }

    package func refusal(_ request: GenerationRequest) -> DisaggError? { nil }

    package func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer {
        .ready
    }

    package func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge? { nil }

    package func decodeLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest {
        decodeAloneLeg(request)
    }

    package func releaseLeg(
        _ request: GenerationRequest, _ attempt: HandoffAttempt, answer: PrefillAnswer?
    ) -> LegRequest? {
        nil
    }

    /// The client's request as it came, without the fields that only a router may set.
    package func decodeAloneLeg(_ request: GenerationRequest) -> LegRequest {
        LegRequest(path: request.endpoint.rawValue, body: LegRewriting.stripping.apply(to: request.body, request.table))
    }
}
