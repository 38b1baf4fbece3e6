import NIOCore
import NIOHTTP1

/// llm-d's routing side-car in front of a decoder, and NIXL behind it: the decoder's port asks the prefill engine that the header
/// `x-prefiller-host-port` names, then decodes with its parameters.
///
/// | what happens                          | what the side-car does                        |
/// |---------------------------------------|-----------------------------------------------|
/// | no header                             | the engine serves the request alone           |
/// | several prefill engines               | takes the first                               |
/// | the prefill engine answers 5xx or not | the engine serves the request alone           |
/// | another error                         | returns it                                    |
///
/// Source: llm-d-inference-scheduler at 520af478, `nixlv2` connector; `pkg/common/routing/common.go` 10-17.
final class LLMDSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private let nixl: NIXLSide
    private var calls: [ObjectIdentifier: HTTPCall] = [:]

    init(_ core: SimulatedEngineCore) {
        self.core = core
        nixl = NIXLSide(core)
    }

    var held: Int { nixl.held }

    func start(_ request: ActiveRequest) {
        guard let core, core.configuration.role == .decode,
            let header = request.exchange.head.headers.first(name: "x-prefiller-host-port"),
            let prefiller = header.split(separator: ",").first.flatMap({ ConfigText.endpoint(String($0)) }),
            let body = prefillBody(request)
        else { return nixl.start(request) }
        let call = HTTPCall(
            .init(
                method: .POST, path: request.request.endpoint.path, headers: ["x-request-id": request.requestID],
                body: body), to: prefiller, on: core.loop)
        calls[ObjectIdentifier(request)] = call
        call.start { [weak self] answer in self?.prefilled(request, answer) }
    }

    private func prefilled(_ request: ActiveRequest, _ answer: HTTPCall.Answer?) {
        calls[ObjectIdentifier(request)] = nil
        guard let core, !core.ledger.dead, !request.isOver else { return }
        let view = answer.flatMap { try? JSONView(parsing: $0.body) }
        if let answer, (400..<500).contains(answer.status) {
            core.log.rejected += 1
            return request.fail(
                SimulatedAPIError(
                    status: answer.status, message: view?["error"]?["message"]?.string ?? "",
                    type: view?["error"]?["type"]?.string ?? "BadRequestError",
                    parameter: view?["error"]?["param"]?.string))
        }
        if let answer, answer.status < 300 { request.request.transfer = view?["kv_transfer_params"] }
        nixl.start(request)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        // The side-car's own request ends with the client's.
        calls.removeValue(forKey: ObjectIdentifier(request))?.cancel()
        nixl.ended(request, reason)
    }

    func rejected(_ fields: [String: JSONView]) { nixl.rejected(fields) }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        nixl.received(message, on: listener, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) { nixl.closed(channel, on: listener) }

    func close() {
        for call in calls.values { call.cancel() }
        calls = [:]
        nixl.close()
    }

    /// The request as the side-car sends it to the prefill engine.
    private func prefillBody(_ request: ActiveRequest) -> [UInt8]? {
        let endpoint: GenerationRequest.Endpoint =
            request.request.endpoint == .chat ? .chatCompletions : .completions
        guard let generation = try? GenerationRequest(endpoint: endpoint, body: ByteBuffer(bytes: request.request.body))
        else { return nil }
        var splice = LegRewriting.prefill
        splice.set("kv_transfer_params", literal: #"{"do_remote_decode":true,"do_remote_prefill":false}"#)
        return splice.apply(to: generation.body, generation.table).flatMap { Array($0.readableBytesView) }
    }
}
