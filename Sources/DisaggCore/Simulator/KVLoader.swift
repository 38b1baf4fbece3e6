import NIOCore

/// Fills a decoder's own blocks from another engine, then queues the request; keeps the decoder's ledger.
final class KVLoader {
    /// What happens to a request whose KV does not come.
    enum Failure {
        /// `kv_load_failure_policy: fail`: a 500 (Docs/EngineFacts.md row 13).
        case error
        /// The engine computes the prompt itself.
        case recompute
    }

    let claims: KVClaims
    private weak var core: SimulatedEngineCore?

    init(_ core: SimulatedEngineCore, noticesLoss: Bool) {
        self.core = core
        claims = KVClaims(loop: core.loop, noticesLoss: noticesLoss)
    }

    /// Loads a request's prompts, each from its own source; the choices of one prompt may each have theirs.
    ///
    /// The blocks stay held until the transfer has reported, also where the client has left meanwhile: vLLM 0.33.0
    /// `v1/core/sched/scheduler.py` 3014-3027 and 3569-3578.
    func load(_ request: ActiveRequest, from sources: [KVClaims.Source], timeout: Duration?, otherwise failure: Failure)
    {
        guard let core else { return }
        let prompts = request.request.prompts
        let tokens = sources.indices.map { prompts.indices.contains($0) ? prompts[$0] : prompts.first ?? [] }
        let held = tokens.reduce(0) { $0 + core.blocks($1.count) }
        core.ledger.held += held
        var missing = sources.count
        var isComplete = true
        for (index, source) in sources.enumerated() {
            claims.claim(source, timeout: timeout) { [weak core] outcome in
                guard let core else { return }
                if case .loaded(let blocks, let prompt) = outcome {
                    core.ledger.transferred += blocks
                    // Another prompt's KV: a real engine would go on with garbage.
                    if TokenHistory(tokens[index]).hash != prompt { core.ledger.protocolViolations += 1 }
                } else {
                    isComplete = false
                }
                missing -= 1
                guard missing == 0 else { return }
                core.ledger.held -= held
                Self.go(on: request, core, isComplete, failure)
            }
        }
    }

    private static func go(
        on request: ActiveRequest, _ core: SimulatedEngineCore, _ isComplete: Bool, _ failure: Failure
    ) {
        guard !request.isOver, !core.ledger.dead else { return }
        if isComplete {
            core.loaded(request)
            return core.scheduler.submit(request)
        }
        core.ledger.misses += 1
        switch failure {
        case .recompute: core.scheduler.submit(request)
        case .error:
            core.log.rejected += 1
            request.fail(.internalError)
        }
    }

    func close() { claims.close() }
}
