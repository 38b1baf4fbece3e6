import NIOCore

/// The P2P tier of vLLM's `OffloadingConnector`: the producer keeps a prompt's blocks under `kv_request_id` until the consumer
/// has loaded them; the legs may come in any order.
///
/// | what happens                                     | what the engines do                                              |
/// |--------------------------------------------------|------------------------------------------------------------------|
/// | nobody claims the blocks                         | freed after 60 s                                                 |
/// | the blocks do not come                           | after 30 s the consumer computes the prompt itself               |
/// | `remote_decoder` without an id                   | nothing is kept                                                  |
///
/// Source: vLLM 0.33.0 `kv_offload/tiering/p2p/manager.py` 56, 88-178, 241 and 433-463.
final class OffloadP2PSide: EngineSide {
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
        offers = RankedOffers(core, ranks: ranks, claimsWait: true) { _ in "" }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        request.servedRank = ranks.pick(request.dataParallelRank)
        guard let source = request.request.transfer?["remote_prefiller"], let key = source["kv_request_id"]?.string,
            let host = source["remote_host"]?.string, let port = source["remote_port"]?.int,
            (1...65_535).contains(port)
        else { return core.scheduler.submit(request) }
        loader.load(
            request, from: [.init(endpoint: Endpoint(host: host, port: port), engineID: "", key: key)],
            timeout: timers.offloadLoad, otherwise: .recompute)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        guard let core, reason != .abort, reason != .error,
            let key = request.request.transfer?["remote_decoder"]?["kv_request_id"]?.string,
            let prompt = request.request.prompts.first
        else { return }
        offers[request.servedRank].offer(
            key, blocks: core.blocks(prompt.count), prompt: TokenHistory(prompt).hash,
            lifetime: core.lifetime(timers.offloadUnclaimed))
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
