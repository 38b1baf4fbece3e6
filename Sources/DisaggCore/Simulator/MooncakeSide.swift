import NIOCore

/// vLLM's `MooncakeConnector`: both legs run at once and meet by `transfer_id`; the decoder finds the prefill engine's workers
/// through the bootstrap server (`GET /query`).
///
/// | what happens                                                 | what the engines do                                    |
/// |--------------------------------------------------------------|--------------------------------------------------------|
/// | `do_remote_prefill` at a producer, or the other way round    | an assertion in the scheduler: the engine dies         |
/// | no `transfer_id` for the prefill                             | nothing is sent; the decoder waits for its time limit  |
/// | the prefill's token is the end of the text or a stop token   | the same: it must end length-capped                    |
/// | a field missing for the decode                               | it computes the prompt itself                          |
/// | an engine id of before a restart                             | the transfer fails: 500                                |
/// | the prefill fails, or its engine dies                        | the decoder waits for its time limit, 540 s            |
/// | the decoder never comes                                      | the prefill's blocks are freed after 480 s             |
/// | the decoder rejects the request                              | it tells the prefill engine to free                    |
///
/// Source: vLLM 0.33.0 `mooncake_connector.py` 1078-1222, 1669-1690 and 2446-2449, `mooncake_utils.py` 20-178.
final class MooncakeSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private let offers: RankedOffers
    private let loader: KVLoader
    private var ranks: DataParallelRanks
    private let timers: HandoffTimers
    /// What bootstrap servers told: workers' addresses by engine id.
    private var workers: [String: Endpoint] = [:]
    private var queries: [HTTPCall] = []

    /// Engine ids kept; those of restarted engines are never asked for again.
    private static let maximumWorkers = 4096

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        loader = KVLoader(core, noticesLoss: false)
        ranks = DataParallelRanks(count: core.configuration.dataParallel)
        // A new id at every start, also of each rank: that is why the proxy must ask again after a restart.
        offers = RankedOffers(core, ranks: ranks, claimsWait: true) { _ in core.randomEngineID() }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        request.servedRank = ranks.pick(request.dataParallelRank)
        let transfer = request.request.transfer
        let (gives, takes) = (transfer?["do_remote_decode"]?.bool == true, transfer?["do_remote_prefill"]?.bool == true)
        if (takes && core.configuration.role == .prefill) || (gives && core.configuration.role == .decode) {
            return core.crash()
        }
        guard takes, let source = Self.source(transfer) else { return core.scheduler.submit(request) }
        find(source.engine, at: source.bootstrap) { [weak self] endpoint in
            guard let self, let core = self.core else { return }
            guard let endpoint else {
                guard !request.isOver, !core.ledger.dead else { return }
                core.ledger.misses += 1
                core.log.rejected += 1
                return request.fail(.internalError)
            }
            self.loader.load(
                request, from: [.init(endpoint: endpoint, engineID: source.engine, key: source.key)],
                timeout: self.timers.mooncakeReceive, otherwise: .error)
        }
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        guard let core, reason != .abort, reason != .error, request.isLengthCapped,
            let transfer = request.request.transfer, transfer["do_remote_decode"]?.bool == true,
            let key = transfer["transfer_id"]?.string, let prompt = request.request.prompts.first
        else { return }
        offers[request.servedRank].offer(
            key, blocks: core.blocks(prompt.count), prompt: TokenHistory(prompt).hash,
            lifetime: core.lifetime(timers.mooncakeAbort))
    }

    func rejected(_ fields: [String: JSONView]) {
        guard let transfer = fields["kv_transfer_params"], transfer["do_remote_prefill"]?.bool == true,
            let source = Self.source(transfer)
        else { return }
        find(source.engine, at: source.bootstrap) { [weak self] endpoint in
            guard let endpoint else { return }
            self?.loader.claims.release(.init(endpoint: endpoint, engineID: source.engine, key: source.key))
        }
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        offers.received(message, on: listener, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) {
        offers.closed(channel)
    }

    func close() {
        for query in queries { query.cancel() }
        queries = []
        offers.close()
        loader.close()
    }

    /// The answer of the bootstrap server's `GET /query`: engine id and workers of each rank.
    var bootstrapAnswer: String {
        let host = core?.configuration.sideChannelHost ?? ""
        let ports = core?.ports.sideChannels ?? []
        let entries = zip(offers.engineIDs, ports).enumerated().map { rank, entry in
            let (engineID, port) = entry
            let address = JSONString.encode("tcp://\(Endpoint(host: host, port: port))")
            return #""\#(rank)":{"engine_id":"\#(engineID)","worker_addr":{"0":{"0":\#(address)}}}"#
        }
        return "{\(entries.joined(separator: ","))}"
    }

    /// The fields a decode needs; nil where one is missing: the engine then warns and computes the prompt itself.
    private static func source(_ transfer: JSONView?) -> (bootstrap: Endpoint, engine: String, key: String)? {
        guard let transfer, let address = transfer["remote_bootstrap_addr"]?.string,
            let bootstrap = ConfigText.endpoint(address), let engine = transfer["remote_engine_id"]?.string,
            let key = transfer["transfer_id"]?.string
        else { return nil }
        return (bootstrap, engine, key)
    }

    /// Finds an engine's worker, asking the bootstrap server where it is not known.
    private func find(_ engine: String, at bootstrap: Endpoint, _ found: @escaping (Endpoint?) -> Void) {
        guard let core else { return }
        if let endpoint = workers[engine] { return found(endpoint) }
        let query = HTTPCall(.init(path: "/query"), to: bootstrap, on: core.loop)
        queries.append(query)
        query.start { [weak self, weak query] answer in
            guard let self else { return }
            self.queries.removeAll { $0 === query }
            guard let answer, answer.status == 200, let view = try? JSONView(parsing: answer.body) else {
                return found(nil)
            }
            if self.workers.count > Self.maximumWorkers { self.workers = [:] }
            view.forEachMember { _, entry in
                guard let id = entry["engine_id"]?.string, var address = entry["worker_addr"]?["0"]?["0"]?.string
                else { return }
                if address.hasPrefix("tcp://") { address.removeFirst(6) }
                self.workers[id] = ConfigText.endpoint(address)
            }
            found(self.workers[engine])
        }
    }
}
