import NIOHTTP1

/// Generation requests: admission, faults, ends.
extension SimulatedEngineCore {
    /// A request to a generating endpoint.
    func generate(_ exchange: SimulatedExchange, _ body: [UInt8], endpoint: SimulatedRequest.Endpoint) {
        log.add(body, endpoint: endpoint)
        if SimulatedFaults.strike(&faults.hang) {
            hanging.append(exchange)
            exchange.onGone = { [weak self, weak exchange] in self?.hanging.removeAll { $0 === exchange } }
            return
        }
        if SimulatedFaults.strike(&faults.refuse) {
            log.rejected += 1
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
            // SGLang's router sends the same request to both engines; the one that prefills stops at the first token
            // (python/sglang/srt/disaggregation/prefill.py, "Life cycle of a request in the prefill server").
            if configuration.role == .prefill, fields["bootstrap_room"] != nil {
                request.maximumTokens = min(1, request.maximumTokens ?? 1)
                request.minimumTokens = 0
            }
            admit(request, fields, exchange)
        } catch {
            log.rejected += 1
            // vLLM tells the producer to free what a rejected decode would have read (Docs/EngineFacts.md row 10).
            if let transfer = fields["kv_transfer_params"] { releaseRejected(transfer) }
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
        let suffix = request.endpoint == .completion ? "-0-" : "-"
        let active = ActiveRequest(
            context: context,
            fields: AnswerFields(
                request: fields, itemID: randomHex(16), messageID: randomHex(16),
                defaultLimit: configuration.maximumModelLength - request.promptTokens),
            exchange: exchange, internalID: context.id + suffix + randomHex(8),
            endProbability: configuration.endProbability, maximumModelLength: configuration.maximumModelLength)
        active.dieAfterTokens = faults.dieAfterTokens
        faults.dieAfterTokens = nil
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
        startTransfer(active)
    }

    /// The client closed the connection: vLLM aborts, and the hand-off has its own consequences.
    private func clientLeft(_ request: ActiveRequest) {
        log.aborted += 1
        if mustFinishPrefill(request) {
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
