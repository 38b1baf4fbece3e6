/// The sending half of LMCache PD (`enable_pd`): stores every finished prefill on the decoder that `disagg_spec` names, one
/// connection and one notification a rank.
///
/// | what happens                                            | what the engine does                                       |
/// |---------------------------------------------------------|------------------------------------------------------------|
/// | a request without `disagg_spec`                         | dies (row 3)                                               |
/// | a `disagg_spec` without a field or with too few ports   | dies: the worker reads element *i* unchecked               |
/// | the client leaves, `ret_first_tok` given                | dies (row 4)                                               |
/// | the client leaves, no `ret_first_tok`                   | goes on, sends and notifies (row 17)                       |
/// | the decoder's buffer is full, asynchronous backend      | answers; the notification waits (row 5)                    |
/// | the decoder's buffer is full, synchronous backend       | answers only when there is room                            |
///
/// Rows are those of Docs/EngineFacts.md. Source: LMCache 0.5.6 `pd_backend_async.py`, `pd_backend.py`,
/// `vllm_v1_adapter.py` 1554-1576 and 1925-1927.
final class LMCachePrefillSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    /// One a storing rank.
    private var senders: [LMCacheSender] = []
    /// To the decoders' query ports.
    private var queries: PeerLinks?

    init(_ core: SimulatedEngineCore) {
        self.core = core
        senders = (0..<core.configuration.storingRanks).map { rank in
            LMCacheSender(loop: core.loop, isSynchronous: core.configuration.isSynchronous) { [weak self] in
                self?.sent($0, rank: rank)
            }
        }
        guard core.configuration.answersQueries else { return }
        queries = PeerLinks(
            loop: core.loop,
            onLine: { [weak core] message, _ in if message["op"]?.string == "held" { core?.ledger.probes += 1 } },
            onLost: { _ in })
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        let transfer = request.request.transfer
        guard transfer?["disagg_spec"]?.kind == .object else { return core.crash() }
        if transfer?["ret_first_tok"] != nil {
            request.transferParameters = { [weak request] in #"{"first_tok":\#(request?.firstToken ?? 0)}"# }
        }
        probe(request)
        core.scheduler.submit(request)
    }

    /// Asks the decoder what it holds of the prompts. The answer is only logged: the prefill is not skipped.
    ///
    /// Source: LMCache 0.5.6 `vllm_v1_adapter.py` 1216-1336, `pd_backend.py` 714-869.
    private func probe(_ request: ActiveRequest) {
        guard let core, let spec = request.request.transfer?["disagg_spec"], let id = spec["req_id"]?.string,
            let host = spec["receiver_host"]?.string, let ports = spec["receiver_query_port"]?.integers
        else { return }
        let tags = ChunkKeys.tags(of: request.request.transfer)
        for (rank, port) in ports.prefix(senders.count).enumerated() where (1...65_535).contains(port) {
            let keys = request.request.prompts.first.map { core.chunkKeys($0, rank: rank, tags: tags) } ?? []
            queries?.send(
                #"{"op":"query","request":\#(JSONString.encode(id)),"keys":\#(AnswerContext.list(keys))}"#,
                to: Endpoint(host: host, port: port))
        }
    }

    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let core else { return }
        guard let spec = request.request.transfer?["disagg_spec"], let id = spec["req_id"]?.string,
            let host = spec["receiver_host"]?.string, let ports = ports(of: spec, core.configuration)
        else {
            // Rank i reads element i of every list without a check: the worker, and with it the engine, dies.
            core.ledger.protocolViolations += 1
            return core.crash()
        }
        let tags = ChunkKeys.tags(of: request.request.transfer)
        var missing = senders.count
        for (rank, sender) in senders.enumerated() {
            for (index, prompt) in request.request.prompts.enumerated() {
                let keys = core.chunkKeys(prompt, rank: rank, tags: tags)
                core.ledger.held += keys.count
                sender.submit(
                    .init(id: id, receiver: Endpoint(host: host, port: ports[rank]), keys: keys) { [weak core] in
                        guard index == 0 else { return }
                        missing -= 1
                        guard missing == 0 else { return }
                        if request.isDiscarded { core?.forget(request) } else { run() }
                    })
            }
        }
    }

    func mustFinish(_ request: ActiveRequest) -> Bool {
        guard let core, request.firstToken == nil, !core.ledger.dead else { return false }
        if request.request.transfer?["ret_first_tok"] != nil {
            core.crash()
            return false
        }
        // A prefill that only waits is dropped like any other request.
        return request.isPlanned || core.faults.holdPrefills
    }

    func close() {
        for sender in senders { sender.close() }
        queries?.close()
    }

    /// The allocation ports, one a storing rank at least; nil where a list is missing, too short or holds no port.
    private func ports(of spec: JSONView, _ configuration: SimulatedEngineConfiguration) -> [Int]? {
        var lists = [spec["receiver_init_port"]?.integers, spec["receiver_alloc_port"]?.integers]
        // The synchronous, bidirectional backend asks the decoder's query port where the proxy names one.
        if configuration.answersQueries, let query = spec["receiver_query_port"] {
            lists.append(query.integers)
        }
        for list in lists {
            guard let list, list.count >= senders.count, list.allSatisfy({ (1...65_535).contains($0) }) else {
                return nil
            }
        }
        return lists[1]
    }

    private func sent(_ event: LMCacheSender.Event, rank: Int) {
        guard let core else { return }
        switch event {
        case .transferred(let chunks):
            core.ledger.held -= chunks
            core.ledger.transferred += chunks
            core.ledger.released += chunks
        case .dropped(let chunks):
            core.ledger.held -= chunks
            core.ledger.released += chunks
        case .violation(let chunks):
            core.ledger.held -= chunks
            core.ledger.released += chunks
            core.ledger.protocolViolations += 1
        case .finished(let id): core.notify { [weak core] in core?.sendNotification(rank, id) }
        }
    }
}
