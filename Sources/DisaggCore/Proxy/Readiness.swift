internal import HTTPTypes
internal import NIOCore

/// Answers `/ready`: asks every engine's `/health` now, and is ready when each role that the hand-off needs has one.
enum Readiness {
    /// An engine that does not answer `/health` within this time counts as not ready.
    static let timeout = TimeAmount.seconds(2)

    private final class Round {
        var waiting = 0
        var healthy: Set<String> = []
        var isOver = false
    }

    static func answer(loop: LoopContext, sink: ResponseSink) {
        let pool = loop.shared.pool
        let all = pool.prefill + pool.decode
        let round = Round()
        round.waiting = all.count
        var exchanges: [CollectingExchange] = []
        let heads = RequestHeadWriter(HeaderBlock(), requestID: "ready")
        func finish() {
            guard !round.isOver else { return }
            round.isOver = true
            let needsPrefill = loop.shared.deployment.handoff != .none
            let isReady =
                pool.decode.contains { round.healthy.contains($0.backend.id) }
                && (!needsPrefill || pool.prefill.contains { round.healthy.contains($0.backend.id) })
            let backends = all.map { state in
                "\(JSONString.encode(state.backend.id)):\(round.healthy.contains(state.backend.id))"
            }
            sink.respond(
                status: isReady ? 200 : 503,
                json: ByteBuffer(string: #"{"ready":\#(isReady),"backends":{\#(backends.joined(separator: ","))}}"#))
        }
        guard !all.isEmpty else { return finish() }
        for state in all {
            ask(state, fresh: false)
        }
        func ask(_ state: BackendState, fresh: Bool) {
            let exchange = CollectingExchange { result in
                switch result {
                case .success(let answer):
                    if answer.head.status == 200 { round.healthy.insert(state.backend.id) }
                case .failure(.staleConnection): return ask(state, fresh: true)
                case .failure: break
                }
                round.waiting -= 1
                if round.waiting == 0 { finish() }
            }
            exchanges.append(exchange)
            loop.upstream.send(
                head: heads.head(method: .get, target: "/health", backend: state, bodyBytes: nil), body: [],
                to: state, fresh: fresh, for: exchange)
        }
        loop.reactor.assumeIsolated().scheduleTask(in: timeout) {
            guard !round.isOver else { return }
            for exchange in exchanges { exchange.cancel() }
            finish()
        }
    }
}
