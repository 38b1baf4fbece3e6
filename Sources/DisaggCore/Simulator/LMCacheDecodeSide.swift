import NIOCore

/// The receiving half of LMCache PD: takes prefills into its buffer and gives them to the requests whose prompts they belong
/// to. Nothing else frees them (Docs/EngineFacts.md rows 5 and 17).
final class LMCacheDecodeSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    /// One a rank.
    private var receivers: [LMCacheReceiver] = []

    init(_ core: SimulatedEngineCore) {
        self.core = core
        receivers = (0..<max(1, core.configuration.ranks)).map { _ in
            LMCacheReceiver(
                capacity: core.configuration.bufferChunks,
                onTransferred: { [weak core] in core?.ledger.transferred += $0 },
                onReleased: { [weak core] in core?.ledger.released += $0 },
                onViolation: { [weak core] in core?.ledger.protocolViolations += 1 })
        }
    }

    var held: Int { receivers.reduce(0) { $0 + $1.used } }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        let tags = ChunkKeys.tags(of: request.request.transfer)
        var isHit = true
        for prompt in request.request.prompts {
            let tokens = prompt.dropLast(core.configuration.skipLastTokens)
            for (rank, receiver) in receivers.enumerated() {
                let result = receiver.retrieve(core.chunkKeys(tokens, rank: rank, tags: tags))
                core.ledger.leaked += result.stranded
                isHit = isHit && result.isHit
            }
        }
        if isHit { core.loaded(request) } else { core.ledger.misses += 1 }
        core.scheduler.submit(request)
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        switch listener {
        case .lmcacheAlloc(let rank) where receivers.indices.contains(rank):
            receivers[rank].received(message, from: channel)
        case .lmcacheQuery(let rank) where receivers.indices.contains(rank):
            core?.ledger.probes += 1
            receivers[rank].asked(message, from: channel)
        default: break
        }
    }

    func closed(_ channel: any Channel, on listener: SideListener) {
        guard case .lmcacheAlloc(let rank) = listener, receivers.indices.contains(rank) else { return }
        receivers[rank].closed(channel)
    }
}
