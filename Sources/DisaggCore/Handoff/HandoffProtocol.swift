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

/// What one leg sends: a path and a body in pieces that go out one after another.
package struct LegRequest: Sendable {
    package var path: String
    package var body: [ByteBuffer]

    package init(path: String, body: [ByteBuffer]) {
        self.path = path
        self.body = body
    }

    /// Length of the body in bytes.
    package var bodyBytes: Int { body.reduce(0) { $0 + $1.readableBytes } }
}

/// A way to hand a prompt's KV from prefill to decode: rules for the machine, and pure functions that rewrite bodies.
package protocol HandoffProtocol: Sendable {
    /// What may be cancelled, awaited, released and retried.
    var rules: HandoffRules { get }

    /// Why this request must go to a decoder alone; nil where it is handed off.
    func reasonToDecodeAlone(_ request: GenerationRequest) -> HandoffReason?

    /// The prefill leg.
    func prefillLeg(_ request: GenerationRequest, pair: BackendPair, id: RequestID) -> LegRequest

    /// How a complete answer of the prefill with status 2xx is to be taken.
    func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer

    /// The decode leg after a usable prefill.
    func decodeLeg(_ request: GenerationRequest, answer: PrefillAnswer) -> LegRequest

    /// The leg that frees what the prefill left behind; nil where the answer left nothing.
    func releaseLeg(_ request: GenerationRequest, answer: PrefillAnswer?) -> LegRequest?

    /// What puts the prefill's first token in front of the decoder's answer; nil where the answer passes through raw.
    func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge?
}

extension HandoffProtocol {
    package func judge(_ answer: PrefillAnswer, for request: GenerationRequest) -> HandoffMachine.PrefillAnswer {
        .ready
    }

    package func firstTokenMerge(_ request: GenerationRequest, answer: PrefillAnswer) -> FirstTokenMerge? { nil }

    package func decodeLeg(_ request: GenerationRequest, answer: PrefillAnswer) -> LegRequest {
        decodeAloneLeg(request)
    }

    /// The client's request as it came, without the fields that only a router may set.
    package func decodeAloneLeg(_ request: GenerationRequest) -> LegRequest {
        LegRequest(path: request.endpoint.rawValue, body: LegRewriting.stripping.apply(to: request.body, request.table))
    }
}
