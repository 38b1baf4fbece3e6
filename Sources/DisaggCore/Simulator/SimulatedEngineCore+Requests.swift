import NIOHTTP1

/// Generation requests: admission, faults, ends.
extension SimulatedEngineCore {
    /// A request to a generating endpoint.
    func generate(_ exchange: SimulatedExchange, _ body: [UInt8], endpoint: SimulatedRequest.Endpoint) {
        log.add(body, endpoint: endpoint)
        if faults.strike(\.dieOnRequest) { return die() }
        if faults.strike(\.hang) {
            hanging.append(exchange)
            hasHung = true
            exchange.onGone = { [weak self, weak exchange] in self?.hanging.removeAll { $0 === exchange } }
            return
        }
        if faults.strike(\.refuse) {
            log.rejected += 1
            // A request that is not valid is one whose KV nobody will read; an engine that is overloaded tells nobody, and
            // one that fails inside has taken the request in.
            if faults.refuseStatus < 500, let fields = try? SimulatedRequestParser.fields(body, path: endpoint.path) {
                side?.rejected(fields)
            }
            if faults.refuseStatus == 500 {
                side?.failed(endpoint.idPrefix + (exchange.head.headers.first(name: "x-request-id") ?? ""))
            }
            return exchange.fail(
                SimulatedAPIError(
                    status: faults.refuseStatus, message: "refused by an injected fault",
                    type: "ServiceUnavailableError"), endpoint: endpoint)
        }
        guard !ledger.dead else {
            log.rejected += 1
            return exchange.fail(.engineDead, endpoint: endpoint)
        }
        var fields: [String: JSONView] = [:]
        do throws(SimulatedAPIError) {
            fields = try SimulatedRequestParser.fields(body, path: endpoint.path)
            var request = try parser.parse(fields, endpoint: endpoint)
            request.numbersTokens = configuration.numbersTokens
            if configuration.handoff == .llmd { request.body = body }
            // SGLang's router sends the same request to both engines; the one that prefills stops at the first token
            // (python/sglang/srt/disaggregation/prefill.py, "Life cycle of a request in the prefill server").
            if configuration.role == .prefill, fields["bootstrap_room"] != nil {
                request.maximumTokens = min(1, request.maximumTokens ?? 1)
                request.minimumTokens = 0
            }
            try side?.shape(&request)
            admit(request, fields, exchange)
        } catch {
            log.rejected += 1
            side?.rejected(fields)
            exchange.fail(error, endpoint: endpoint)
        }
    }

    private func admit(_ request: SimulatedRequest, _ fields: [String: JSONView], _ exchange: SimulatedExchange) {
        // Responses are named by the engine alone (fixture 19).
        let named = request.endpoint == .responses ? nil : exchange.head.headers.first(name: "x-request-id")
        let id = named ?? randomHex(16)
        let context = AnswerContext(
            id: request.endpoint.idPrefix + id, created: HTTPDate.now(), model: configuration.model, request: request,
            cachedTokens: configuration.cachedPromptTokens)
        let active = ActiveRequest(
            context: context,
            fields: AnswerFields(
                request: fields, itemID: randomHex(16), messageID: randomHex(16),
                defaultLimit: configuration.maximumModelLength - request.promptTokens),
            exchange: exchange, requestID: id, suffix: randomHex(8),
            endProbability: configuration.endProbability, maximumModelLength: configuration.maximumModelLength)
        if let tokens = faults.dieAfterTokens, faults.budget?.take() ?? true {
            active.dieAfterTokens = tokens
            faults.dieAfterTokens = nil
        }
        self.active[ObjectIdentifier(active)] = active
        metrics.promptTokens += request.promptTokens
        metrics.usedTokens += request.promptTokens
        active.onEnd = { [weak self, weak active] reason in
            guard let self, let active else { return }
            self.ended(active, reason)
        }
        exchange.onWritable = { [weak self] in self?.scheduler.kick() }
        exchange.onGone = { [weak self, weak active] in
            guard let self, let active else { return }
            self.clientLeft(active)
        }
        if request.isStream { exchange.startStream() }
        guard let side else { return scheduler.submit(active) }
        side.start(active)
    }

    /// The client closed the connection: vLLM aborts, and the hand-off has its own consequences.
    private func clientLeft(_ request: ActiveRequest) {
        log.aborted += 1
        if side?.mustFinish(request) == true {
            request.isDiscarded = true
            return
        }
        scheduler.remove(request)
        request.abort()
    }

    private func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        guard active.removeValue(forKey: ObjectIdentifier(request)) != nil else { return }
        if request.request.endpoint == .responses, let answer = request.wholeAnswer {
            responses.store(answer, id: request.answerID)
        }
        metrics.finished[reason, default: 0] += 1
        metrics.usedTokens -= request.request.promptTokens
        side?.ended(request, reason)
    }

    /// A discarded prefill is complete.
    func forget(_ request: ActiveRequest) {
        request.abort()
        active[ObjectIdentifier(request)] = nil
    }

    /// After each step of a request.
    func stepped(_ request: ActiveRequest) {
        metrics.generationTokens += request.generatedTokens - request.countedTokens
        request.countedTokens = request.generatedTokens
        if let limit = request.dieAfterTokens, request.generatedTokens >= limit { die() }
    }
}
