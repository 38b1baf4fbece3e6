internal import Logging
internal import NIOConcurrencyHelpers

/// What every event loop of one proxy shares; immutable, or counted atomically.
final class ProxyShared: Sendable {
    let deployment: Deployment
    let pool: BackendPool
    let admission: AdmissionGate
    let factsReader: RequestFactsReader
    /// Which prompts' KV decoders have; nil where no decision depends on it.
    let decoderPrefixes: DecoderPrefixes?
    let handoff: any HandoffProtocol
    /// Prefill engines that a client's header may name.
    private let allowedPrefillers: [BackendState]
    /// What conversations left at their decoders; nil where turns are not handed back.
    let turns: NIOLockedValueBox<ConversationTurns>?
    let logger: Logger
    /// What an embedding application bootstrapped; nil where it did not, so that nothing is done for nobody.
    let tracer = RequestTrace.bootstrapped

    init(deployment: Deployment, policies: PolicySet? = nil, logger: Logger) {
        self.deployment = deployment
        self.logger = logger
        pool = BackendPool(
            prefill: deployment.backends(.prefill), decode: deployment.backends(.decode), routing: deployment.routing,
            decodeChunks: deployment.decodeChunks, policies: policies)
        admission = AdmissionGate(capacity: deployment.admission.queue)
        // LMCache's decoders run without a prefix cache (LMCache issue 2933): what they had is gone.
        let guesses = deployment.handoff != .lmcache
        let events = pool.policies.decode as? KVEventsPolicy
        let isAsked = deployment.conditional.minimumUncachedTokens > 0 && (guesses || events != nil)
        decoderPrefixes =
            isAsked ? DecoderPrefixes(deployment.routing.prefixCache, events: events, guesses: guesses) : nil
        factsReader = RequestFactsReader(
            needs: pool.policies.needs.union(decoderPrefixes?.needs ?? []), model: deployment.model,
            session: deployment.routing.session,
            admission: deployment.admission)
        handoff = HandoffKind.makeProtocol(deployment)
        let handsBack = deployment.handoff == .nixl && deployment.handoffOptions.bidirectional
        turns = handsBack ? NIOLockedValueBox(ConversationTurns()) : nil
        let pool = pool
        allowedPrefillers = deployment.proxy.requests.allowedPrefillers.map { target in
            // A backend of the deployment is counted as what it is.
            pool.prefill.first { $0.backend.host == target.host && $0.backend.port == target.port }
                ?? BackendState(
                    Backend(id: "prefiller-\(target)", role: .prefill, host: target.host, port: target.port))
        }
    }

    /// The prefill engine that a request's header names; nil where it names none.
    ///
    /// - Throws: ``DisaggError`` where what it names is no address or not on the deployment's list.
    func wishedPrefill(_ headers: HeaderBlock) throws(DisaggError) -> BackendState? {
        let allowed = allowedPrefillers
        guard
            let target = try PrefillerHeader.target(
                headers.all("x-prefiller-host-port"),
                allowed: allowed.map { Endpoint(host: $0.backend.host, port: $0.backend.port) })
        else { return nil }
        return allowed.first { $0.backend.host == target.host && $0.backend.port == target.port }
    }
}
