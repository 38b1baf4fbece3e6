import NIOCore

/// The engine side of each hand-off, hazards included.
extension SimulatedEngineCore {
    private var isLMCachePrefill: Bool { configuration.handoff == .lmcache && configuration.role == .prefill }

    /// Makes the parts the role and the protocol need.
    func startHandoff() {
        switch (configuration.handoff, configuration.role) {
        case (.lmcache, .prefill):
            senders = (0..<configuration.storingRanks).map { rank in
                LMCacheSender(loop: loop) { [weak self] in self?.sent($0, rank: rank) }
            }
        case (.lmcache, .decode):
            receivers = (0..<max(1, configuration.ranks)).map { _ in
                LMCacheReceiver(
                    capacity: configuration.bufferChunks,
                    onTransferred: { [weak self] in self?.ledger.transferred += $0 },
                    onReleased: { [weak self] in self?.ledger.released += $0 },
                    onViolation: { [weak self] in self?.ledger.protocolViolations += 1 })
            }
        case (.nixl, _):
            producer = NIXLProducer(
                engineID: "\(randomHex(8))-\(randomHex(4))-\(randomHex(4))-\(randomHex(4))-\(randomHex(12))",
                loop: loop,
                leaseDuration: TimeAmount(configuration.leaseDuration)
            ) { [weak self] in self?.produced($0) }
            consumer = NIXLConsumer(loop: loop)
        default: break
        }
    }

    /// The ledger with what the buffers hold now.
    func currentLedger() -> KVLedger {
        var ledger = ledger
        ledger.held += receivers.reduce(0) { $0 + $1.used }
        return ledger
    }

    /// A new request: finds its KV, then queues it.
    func startTransfer(_ request: ActiveRequest) {
        let transfer = request.request.transfer
        switch configuration.handoff {
        case .lmcache where isLMCachePrefill:
            // A request that is not for a decoder hits `spec.receiver_init_port` of None (Docs/EngineFacts.md row 3).
            guard transfer?["disagg_spec"]?.kind == .object else { return crash() }
            if transfer?["ret_first_tok"] != nil {
                request.transferParameters = { [weak request] in
                    #"{"first_tok":\#(request?.firstToken ?? 0)}"#
                }
            }
        case .lmcache where configuration.role == .decode: retrieve(request)
        case .nixl:
            if let transfer, transfer["do_remote_decode"]?.bool == true { produce(request) }
            if let transfer, let source = NIXLConsumer.Source(transfer) { return pull(source, for: request) }
        case .plain, .lmcacheLegacy:
            let hash = TokenHistory(request.request.prompts[0]).hash
            if configuration.sharedStore?.contains(hash) == true, request.request.prompts.count == 1 { loaded(request) }
        default: break
        }
        scheduler.submit(request)
    }

    /// A request's prompt is computed.
    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        if isLMCachePrefill { return store(request, run: run) }
        if configuration.handoff == .plain || configuration.handoff == .lmcacheLegacy {
            for prompt in request.request.prompts { configuration.sharedStore?.insert(TokenHistory(prompt).hash) }
        }
        run()
    }

    /// Whether a prefill goes on although its client is gone.
    ///
    /// With `ret_first_tok` LMCache reads the first output token of a request that has none, and the engine dies
    /// (Docs/EngineFacts.md row 4). Without, the KV and the notification are still sent (row 17).
    func mustFinishPrefill(_ request: ActiveRequest) -> Bool {
        guard isLMCachePrefill, request.firstToken == nil, !ledger.dead else { return false }
        if request.request.transfer?["ret_first_tok"] != nil {
            crash()
            return false
        }
        // A prefill that only waits is dropped like any other request.
        return request.isPlanned || faults.holdPrefills
    }

    /// A decode was refused before it could read: the producer is told.
    func releaseRejected(_ transfer: JSONView) {
        guard let consumer, let source = NIXLConsumer.Source(transfer) else { return }
        consumer.release(source)
    }

    private func loaded(_ request: ActiveRequest) {
        request.loadedTokens = request.prefillTokens
        metrics.loadedPromptTokens += request.prefillTokens
        request.prefillTokens = 0
        ledger.hits += 1
    }

    // MARK: LMCache

    private func keys(_ tokens: some Collection<Int>, rank: Int) -> [Int] {
        ChunkKeys.keys(
            of: tokens, chunkTokens: configuration.chunkTokens,
            worldSize: configuration.storesOnFirstRankOnly ? 1 : configuration.ranks,
            rank: configuration.storesOnFirstRankOnly ? 0 : rank)
    }

    private func store(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let spec = request.request.transfer?["disagg_spec"], let id = spec["req_id"]?.string,
            let host = spec["receiver_host"]?.string, let inits = spec["receiver_init_port"]?.integers,
            let allocs = spec["receiver_alloc_port"]?.integers, inits.count >= senders.count,
            allocs.count >= senders.count, allocs.allSatisfy({ (1...65535).contains($0) })
        else {
            // Rank i reads element i of both lists without a check: the worker, and with it the engine, dies.
            ledger.protocolViolations += 1
            return crash()
        }
        var missing = senders.count
        for (rank, sender) in senders.enumerated() {
            for (index, prompt) in request.request.prompts.enumerated() {
                let keys = keys(prompt, rank: rank)
                ledger.held += keys.count
                sender.submit(
                    .init(id: id, receiver: Endpoint(host: host, port: allocs[rank]), keys: keys) { [weak self] in
                        guard index == 0 else { return }
                        missing -= 1
                        guard missing == 0 else { return }
                        if request.isDiscarded { self?.forget(request) } else { run() }
                    })
            }
        }
    }

    private func sent(_ event: LMCacheSender.Event, rank: Int) {
        switch event {
        case .transferred(let chunks):
            ledger.held -= chunks
            ledger.transferred += chunks
            ledger.released += chunks
        case .dropped(let chunks):
            ledger.held -= chunks
            ledger.released += chunks
        case .violation(let chunks):
            ledger.held -= chunks
            ledger.released += chunks
            ledger.protocolViolations += 1
        case .finished(let id): notify(id, rank: rank)
        }
    }

    private func notify(_ id: String, rank: Int) {
        if SimulatedFaults.strike(&faults.dropNotifications) { return }
        let copies = SimulatedFaults.strike(&faults.duplicateNotifications) ? 2 : 1
        let send = { [weak self] in
            guard let self, !self.isClosed else { return }
            for _ in 0..<copies {
                self.ledger.notificationsSent += 1
                self.sendNotification(rank, id)
            }
        }
        guard faults.delayNotification > 0 else { return send() }
        loop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(faults.delayNotification)), send)
    }

    private func retrieve(_ request: ActiveRequest) {
        var isHit = true
        for prompt in request.request.prompts {
            let tokens = prompt.dropLast(configuration.skipLastTokens)
            for (rank, receiver) in receivers.enumerated() {
                let result = receiver.retrieve(keys(tokens, rank: rank))
                ledger.leaked += result.stranded
                isHit = isHit && result.isHit
            }
        }
        if isHit { loaded(request) } else { ledger.misses += 1 }
    }

    // MARK: NIXL

    private func produce(_ request: ActiveRequest) {
        request.transferParameters = { [weak self, weak request] in
            guard let self, let request, let producer = self.producer else { return "null" }
            return producer.hold(
                request.internalID, tokens: request.request.prompts[0].count,
                blockTokens: self.configuration.blockTokens, host: self.configuration.sideChannelHost,
                port: self.ports.sideChannel ?? 0, tensorParallel: self.configuration.ranks)
        }
    }

    private func pull(_ source: NIXLConsumer.Source, for request: ActiveRequest) {
        consumer?.pull(source) { [weak self] isThere in
            guard let self else { return }
            if isThere { self.ledger.transferred += source.blocks }
            guard !request.isOver, !self.ledger.dead else { return }
            guard isThere else {
                self.ledger.misses += 1
                self.log.rejected += 1
                return request.fail(.internalError)
            }
            self.loaded(request)
            self.scheduler.submit(request)
        }
    }

    private func produced(_ event: NIXLProducer.Event) {
        switch event {
        case .held(let blocks): ledger.held += blocks
        case .read(let blocks):
            ledger.held -= blocks
            ledger.transferred += blocks
            ledger.released += blocks
        case .released(let blocks):
            ledger.held -= blocks
            ledger.released += blocks
        case .expired(let blocks):
            ledger.held -= blocks
            ledger.leaked += blocks
            ledger.expired += 1
        case .doubleRead(let blocks): ledger.doubleFreed += blocks
        case .unknown: ledger.unknownPulls += 1
        }
    }
}
