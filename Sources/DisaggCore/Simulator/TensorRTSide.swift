import NIOCore

/// TensorRT-LLM's context and generation servers, steered by `disaggregated_params`.
///
/// | request                                         | what the engine does                                             |
/// |-------------------------------------------------|------------------------------------------------------------------|
/// | `context_only`, context first                   | generates one token, keeps the KV, answers with what the         |
/// |                                                 | generation server needs; `not_finished`, or `stop` and no KV     |
/// | `context_only`, generation first                | answers only when the generation server has the KV               |
/// | `generation_only`, context first                | reads the KV, emits `first_gen_tokens`, goes on                  |
/// | `generation_only`, generation first             | waits for the context server: sent one after the other, both     |
/// |                                                 | wait for each other until their time limit                       |
/// | KV of an unknown request                        | 500                                                              |
/// | no `disaggregated_params`                       | serves the request alone                                         |
///
/// Source: TensorRT-LLM `tensorrt_llm/serve/openai_disagg_service.py` at 00bb903d. What the servers do when the other never
/// comes was not read; here both give up after ``HandoffTimers/tensorRT``.
final class TensorRTSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private var offers: KVOffers?
    private let loader: KVLoader
    private let timers: HandoffTimers
    private var lastRequestID = 0

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        loader = KVLoader(core, noticesLoss: true)
        offers = KVOffers(engineID: "", loop: core.loop, claimsWait: true) { [weak core] in core?.offered($0) }
    }

    func shape(_ request: inout SimulatedRequest) throws(SimulatedAPIError) {
        guard let parameters = request.routerFields["disaggregated_params"] else { return }
        let type = parameters["request_type"]?.string
        guard ["context_only", "generation_only"].contains(type) else { return }
        guard request.prompts.count == 1, request.choices == 1 else {
            throw .badRequest("Disaggregated serving supports one prompt and one choice a request.")
        }
        if type == "context_only" {
            request.stopsAtContext = true
            return
        }
        request.forcedTokens = parameters["first_gen_tokens"]?.integers ?? []
        guard !request.forcedTokens.isEmpty || Self.isGenerationFirst(parameters),
            request.forcedTokens.allSatisfy({ (0..<SimulatedVocabulary.size).contains($0) })
        else { throw .badRequest("first_gen_tokens is missing or holds no tokens.") }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        guard let parameters = request.request.routerFields["disaggregated_params"] else {
            return core.scheduler.submit(request)
        }
        if request.request.stopsAtContext {
            lastRequestID += 1
            let key = Self.id(parameters) ?? lastRequestID
            request.choiceMembers = { [weak self, weak request] in
                guard let self, let request else { return "" }
                return self.finish(request, parameters, key)
            }
            return core.scheduler.submit(request)
        }
        guard parameters["request_type"]?.string == "generation_only" else { return core.scheduler.submit(request) }
        guard let key = parameters["ctx_request_id"]?.int ?? Self.id(parameters),
            let endpoint = Self.endpoint(parameters)
        else {
            core.log.rejected += 1
            return request.fail(.internalError)
        }
        loader.load(
            request, from: [.init(endpoint: endpoint, engineID: "", key: "\(key)")], timeout: timers.tensorRT,
            otherwise: .error)
    }

    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let core, let parameters = request.request.routerFields["disaggregated_params"],
            request.request.stopsAtContext, Self.isGenerationFirst(parameters), let key = Self.id(parameters),
            let prompt = request.request.prompts.first
        else { return run() }
        var isTaken = false
        offers?.offer(
            "\(key)", blocks: core.blocks(prompt.count), prompt: TokenHistory(prompt).hash,
            lifetime: core.lifetime(timers.tensorRT)
        ) {
            isTaken = true
            run()
        }
        guard !isTaken else { return }
        core.loop.assumeIsolated().scheduleTask(in: TimeAmount(timers.tensorRT)) { [weak core] in
            guard let core, !isTaken, !core.ledger.dead, !request.isOver else { return }
            core.log.rejected += 1
            request.fail(.internalError)
        }
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        offers?.received(message, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) { offers?.closed(channel) }

    func close() {
        offers?.close()
        loader.close()
    }

    /// The answer of `GET /server_info`: where generation servers find this context server.
    var serverInfo: String {
        let endpoint = Endpoint(host: core?.configuration.sideChannelHost ?? "", port: core?.ports.sideChannel ?? 0)
        return #"{"disaggregated_params":{"ctx_dp_rank":0,"ctx_info_endpoint":"tcp://\#(endpoint)"}}"#
    }

    /// Keeps a finished context's KV; returns what its choice has beside the usual members.
    private func finish(_ request: ActiveRequest, _ parameters: JSONView, _ key: Int) -> String {
        guard let core, let prompt = request.request.prompts.first else { return "" }
        let isFirst = !Self.isGenerationFirst(parameters)
        // What has ended needs no generation server: nothing is kept.
        if isFirst, [.notFinished, .length].contains(request.finishReason) {
            offers?.offer(
                "\(key)", blocks: core.blocks(prompt.count), prompt: TokenHistory(prompt).hash,
                lifetime: core.lifetime(timers.tensorRT))
        }
        let endpoint = Endpoint(host: core.configuration.sideChannelHost, port: core.ports.sideChannel ?? 0)
        let state = endpoint.description.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return #","disaggregated_params":{"request_type":"context_only","#
            + #""first_gen_tokens":[\#(request.firstToken ?? 0)],"first_gen_log_probs":null,"ctx_request_id":\#(key),"#
            + #""encoded_opaque_state":"\#(state)","draft_tokens":null,"disagg_request_id":\#(key),"ctx_dp_rank":0,"#
            + #""ctx_info_endpoint":"tcp://\#(endpoint)","schedule_style":\#(isFirst ? 0 : 1)}"#
    }

    private static func isGenerationFirst(_ parameters: JSONView) -> Bool { parameters["schedule_style"]?.int == 1 }

    private static func id(_ parameters: JSONView) -> Int? { parameters["disagg_request_id"]?.int }

    /// The context server: from the opaque state of its answer, or as it told the router before.
    private static func endpoint(_ parameters: JSONView) -> Endpoint? {
        if let state = parameters["encoded_opaque_state"]?.string {
            let digits = Array(state.utf8)
            guard digits.count.isMultiple(of: 2) else { return nil }
            let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { index in
                UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16)
            }
            return ConfigText.endpoint(String(decoding: bytes, as: UTF8.self))
        }
        let field = parameters["ctx_info_endpoint"]
        guard var text = field?.string ?? field?[0]?.string else { return nil }
        if text.hasPrefix("tcp://") { text.removeFirst(6) }
        return ConfigText.endpoint(text)
    }
}
