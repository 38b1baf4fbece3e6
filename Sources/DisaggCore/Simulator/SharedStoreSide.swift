import NIOCore
import NIOHTTP1

/// Engines that share a KV store: `plain`, `lmcache-legacy`, and `lmcache-mp`, whose store is filled after the answer.
///
/// A request whose prompt is in the store loads it, any other computes it: a hit changes an engine's time and never its
/// answer. LMCache's multi-process server stores asynchronously; each worker POSTs `request_store_finished` with the
/// internal ids of all requests that were stored since its last message.
/// Source: LMCache 0.5.6 `vllm_multi_process_adapter.py` 1539-1550; LMCache issue 1413.
final class SharedStoreSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private var calls: [HTTPCall] = []
    /// Internal ids that were stored and not reported.
    private var stored: [String] = []

    init(_ core: SimulatedEngineCore) { self.core = core }

    private var isAsynchronous: Bool { core?.configuration.handoff == .lmcacheMP }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        if isStored(request) {
            core.loaded(request)
        } else if isAsynchronous, core.configuration.role == .decode {
            core.ledger.misses += 1
        }
        core.scheduler.submit(request)
    }

    private func isStored(_ request: ActiveRequest) -> Bool {
        guard let store = core?.configuration.sharedStore else { return false }
        return request.request.prompts.allSatisfy { store.contains(TokenHistory($0).hash) }
    }

    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let core else { return }
        // Of a prompt that it loaded an engine of both roles stores nothing anew.
        if isAsynchronous, core.configuration.role == .prefill || core.configuration.role == .both && !isStored(request)
        {
            let delay = TimeAmount(core.configuration.storeDelay)
            core.loop.assumeIsolated().scheduleTask(in: delay) { [weak self] in self?.store(request) }
        } else {
            for prompt in request.request.prompts { core.configuration.sharedStore?.insert(TokenHistory(prompt).hash) }
        }
        run()
    }

    private func store(_ request: ActiveRequest) {
        guard let core, !core.isClosed else { return }
        for prompt in request.request.prompts { core.configuration.sharedStore?.insert(TokenHistory(prompt).hash) }
        stored.append(request.internalID)
        guard stored.count == 1 else { return }
        // What is stored in the same turn goes out in one message.
        core.loop.assumeIsolated().execute { [weak self] in self?.report() }
    }

    private func report() {
        guard let core, let endpoint = core.telemetry else { return }
        let ids = stored.map { JSONString.encode($0) }.joined(separator: ",")
        stored = []
        for rank in 0..<core.configuration.storingRanks {
            let body =
                #"{"event":"request_store_finished","request_ids_set":[\#(ids)],"#
                + #""model_name":\#(JSONString.encode(core.configuration.model)),"#
                + #""world_size":\#(core.configuration.ranks),"kv_rank":\#(rank)}"#
            core.notify { [weak self, weak core] in
                guard let core else { return }
                let call = HTTPCall(
                    .init(method: .POST, path: TelemetryListener.path, body: Array(body.utf8)), to: endpoint,
                    on: core.loop)
                self?.calls.append(call)
                call.start { [weak self, weak call] _ in self?.calls.removeAll { $0 === call } }
            }
        }
    }

    func close() {
        for call in calls { call.cancel() }
        calls = []
    }
}
