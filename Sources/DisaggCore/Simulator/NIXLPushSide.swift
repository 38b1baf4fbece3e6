import NIOCore

/// vLLM's `NixlPushConnector`: the decoder registers its blocks at the prefill engine, which writes into them when the prompt is
/// computed. The two requests of a pair find each other by their internal ids without the random suffix.
///
/// | what happens                                              | what the engines do                                     |
/// |-----------------------------------------------------------|---------------------------------------------------------|
/// | a decode without engine id, host, port or `tp_size`       | the decoder dies: a `KeyError` in its scheduler         |
/// | other `X-Request-Id`, endpoint or prompt index            | they never pair: the decoder waits 480 s, then errs     |
/// | the prefill fails, or its engine dies                     | the same                                                |
/// | the decoder comes too late or never                       | the prefill's blocks are freed when the lease ends      |
/// | the decoder's client leaves while it waits                | its blocks stay held until the time limit (#46283)      |
///
/// Source: vLLM 0.33.0 `nixl/push_scheduler.py` 184-187, `push_worker.py` 418-448, `nixl/utils.py`.
final class NIXLPushSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private let offers: RankedOffers
    private let loader: KVLoader
    private var ranks: DataParallelRanks
    private let timers: HandoffTimers

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        loader = KVLoader(core, noticesLoss: false)
        ranks = DataParallelRanks(count: core.configuration.dataParallel)
        let id = core.configuration.engineID ?? core.randomEngineID()
        offers = RankedOffers(core, ranks: ranks, claimsWait: true) { [ranks] in ranks.engineID(id, rank: $0) }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        request.servedRank = ranks.pick(request.dataParallelRank)
        guard let transfer = request.request.transfer, transfer["do_remote_prefill"]?.bool == true else {
            return core.scheduler.submit(request)
        }
        guard let engine = transfer["remote_engine_id"]?.string, let host = transfer["remote_host"]?.string,
            let port = transfer["remote_port"]?.int, (1...65_535).contains(port), transfer["tp_size"]?.int != nil
        else { return core.crash() }
        let sources = request.request.prompts.indices.map { index in
            KVClaims.Source(
                endpoint: Endpoint(host: host, port: port), engineID: engine, key: request.baseID(prompt: index))
        }
        loader.load(request, from: sources, timeout: timers.pushRegistration, otherwise: .error)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        guard let core, reason != .abort, reason != .error, request.request.transfer?["do_remote_decode"]?.bool == true
        else { return }
        for (index, prompt) in request.request.prompts.enumerated() {
            offers[request.servedRank].offer(
                request.baseID(prompt: index), blocks: core.blocks(prompt.count), prompt: TokenHistory(prompt).hash,
                lifetime: core.lifetime(timers.nixlLease))
        }
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        offers.received(message, on: listener, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) {
        offers.closed(channel)
    }

    func close() {
        offers.close()
        loader.close()
    }
}
