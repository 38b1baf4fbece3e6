import NIOCore

/// What every hand-off's engine side needs of its engine.
extension SimulatedEngineCore {
    /// The ledger with what the side holds now.
    func currentLedger() -> KVLedger {
        var ledger = ledger
        ledger.held += side?.held ?? 0
        return ledger
    }

    /// vLLM's KV blocks for that many tokens.
    func blocks(_ tokens: Int) -> Int { (tokens + configuration.blockTokens - 1) / configuration.blockTokens }

    /// An engine id as vLLM draws one: a version 4 UUID's shape.
    func randomEngineID() -> String {
        "\(randomHex(8))-\(randomHex(4))-\(randomHex(4))-\(randomHex(4))-\(randomHex(12))"
    }

    /// LMCache's keys of a prompt at one rank.
    func chunkKeys(_ tokens: some Collection<Int>, rank: Int, tags: UInt64) -> [Int] {
        ChunkKeys.keys(
            of: tokens, chunkTokens: configuration.chunkTokens,
            worldSize: configuration.storesOnFirstRankOnly ? 1 : configuration.ranks,
            rank: configuration.storesOnFirstRankOnly ? 0 : rank, tags: tags)
    }

    /// A request's KV came from elsewhere: nothing of its prompt must be computed.
    func loaded(_ request: ActiveRequest) {
        request.loadedTokens = request.prefillTokens
        metrics.loadedPromptTokens += request.prefillTokens
        request.prefillTokens = 0
        ledger.hits += 1
    }

    /// How long an offer lives: no time at all where a fault says so.
    func lifetime(_ duration: Duration) -> Duration { faults.strike(\.expireOffers) ? .zero : duration }

    /// What it means that nobody took an offer in its time.
    enum Expiry {
        /// The protocol has a way to free it, which the router did not use.
        case leak
        /// The protocol has none.
        case loss
        /// It is a cache.
        case normal
    }

    /// Keeps the ledger of what this engine offers to others.
    func offered(_ event: KVOffers.Event, expiry: Expiry = .loss) {
        switch event {
        case .held(let blocks): ledger.held += blocks
        case .read(let blocks):
            ledger.held -= blocks
            ledger.transferred += blocks
            ledger.released += blocks
        case .released(let blocks):
            ledger.held -= blocks
            ledger.released += blocks
        case .expired(let blocks, let isFault):
            ledger.held -= blocks
            if expiry != .normal { ledger.expired += 1 }
            if expiry == .leak, !isFault { ledger.leaked += blocks } else { ledger.released += blocks }
        case .doubleRead(let blocks): ledger.doubleFreed += blocks
        case .unknown: ledger.unknownPulls += 1
        case .reused: ledger.protocolViolations += 1
        }
    }

    /// Sends one notification to the proxy, unless a fault loses, doubles or delays it.
    func notify(_ send: @escaping () -> Void) {
        if faults.strike(\.dropNotifications) { return }
        let copies = faults.strike(\.duplicateNotifications) ? 2 : 1
        let sendAll = { [weak self] in
            guard let self, !self.isClosed else { return }
            for _ in 0..<copies {
                self.ledger.notificationsSent += 1
                send()
            }
        }
        guard faults.delayNotification > 0, faults.budget?.take() ?? true else { return sendAll() }
        loop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(faults.delayNotification)), sendAll)
    }
}
