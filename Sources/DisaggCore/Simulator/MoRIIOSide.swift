import NIOCore

/// vLLM's `MoRIIOConnector` (AMD), read and write mode; engines register themselves at the proxy by pings.
///
/// | what happens                                                | what the engines do                                     |
/// |-------------------------------------------------------------|---------------------------------------------------------|
/// | a prefill without `transfer_id`                             | a `KeyError` when it finishes: the engine dies          |
/// | no address in the request id and none in the parameters     | the id cannot be parsed: the engine dies                |
/// | the prefill's token is the end of the text or a stop token  | nothing is sent, no parameters come back                |
/// | write: no decoder announces its blocks                      | the prefill's blocks are freed after 60 s               |
/// | write: the prefill never ends                               | the decoder gives up after 120 s                        |
/// | the decoder rejects the request; write: its client leaves   | the prefill engine is told to free                      |
/// | read: nobody reads                                          | freed after an hour                                     |
/// | another data-parallel rank than the prefill's               | they never meet                                         |
///
/// Source: vLLM 0.33.0 `moriio_connector.py` 298-302, 952-977, 1028, 1205, 1563-1645, `moriio_common.py` 368-456 and 612.
final class MoRIIOSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    /// One a data-parallel rank.
    private let offers: RankedOffers
    private let loader: KVLoader
    private var ranks: DataParallelRanks
    private let timers: HandoffTimers
    private let reads: Bool

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        reads = core.configuration.moriioReads
        loader = KVLoader(core, noticesLoss: reads)
        ranks = DataParallelRanks(count: core.configuration.dataParallel)
        offers = RankedOffers(core, ranks: ranks, claimsWait: !reads) { "\($0)" }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        request.servedRank = ranks.pick(request.dataParallelRank)
        guard let transfer = request.request.transfer else { return core.scheduler.submit(request) }
        if transfer["do_remote_decode"]?.bool == true {
            // In write mode the worker connects to the decoder that the id names.
            guard reads || Self.address(of: request, "___decode_addr_") != nil || Self.explicitAddress(transfer) != nil
            else { return core.crash() }
            request.transferParameters = { [weak self, weak request] in
                guard let self, let request else { return "null" }
                return self.finish(request, transfer)
            }
        } else if transfer["do_remote_prefill"]?.bool == true {
            guard
                let endpoint = Self.explicitAddress(transfer) ?? Self.address(of: request, "___prefill_addr_")
            else { return core.crash() }
            guard let key = transfer["transfer_id"]?.string else { return core.scheduler.submit(request) }
            // In read mode the blocks' ids come from the prefill's answer; without them there is nothing to read.
            if reads, transfer["remote_block_ids"]?.isNull != false { return core.scheduler.submit(request) }
            let source = KVClaims.Source(
                endpoint: endpoint, engineID: "\(transfer["remote_dp_rank"]?.int ?? 0)", key: key)
            request.claimed = source
            return loader.load(
                request, from: [source], timeout: reads ? nil : timers.moriioReceive, otherwise: .error)
        }
        core.scheduler.submit(request)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        if reason == .abort, !reads, let source = request.claimed { loader.claims.release(source) }
    }

    func rejected(_ fields: [String: JSONView]) {
        guard let transfer = fields["kv_transfer_params"], transfer["do_remote_prefill"]?.bool == true,
            let endpoint = Self.explicitAddress(transfer), let key = transfer["transfer_id"]?.string
        else { return }
        loader.claims.release(
            .init(endpoint: endpoint, engineID: "\(transfer["remote_dp_rank"]?.int ?? 0)", key: key))
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        // One listener for all ranks: the rank travels with the message, as in a real notification.
        guard let rank = message["engine"]?.string.flatMap({ Int($0) }) else { return }
        offers.received(message, for: rank, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) {
        offers.closed(channel)
    }

    func close() {
        offers.close()
        loader.close()
    }

    /// The `zmq_address` of the engine's pings.
    static func zmqAddress(_ host: String, port: Int) -> String { "host:\(host),handshake:\(port),notify:\(port)" }

    /// Keeps a finished prefill's blocks; returns the `kv_transfer_params` of its answer.
    private func finish(_ request: ActiveRequest, _ transfer: JSONView) -> String {
        guard let core, request.isLengthCapped, let prompt = request.request.prompts.first else { return "null" }
        guard let key = transfer["transfer_id"]?.string else {
            core.crash()
            return "null"
        }
        let blocks = core.blocks(prompt.count)
        offers[request.servedRank].offer(
            key, blocks: blocks, prompt: TokenHistory(prompt).hash,
            lifetime: core.lifetime(reads ? timers.moriioRead : timers.moriioDefer))
        let (host, port) = (core.configuration.sideChannelHost, core.ports.sideChannel ?? 0)
        return #"{"do_remote_prefill":true,"do_remote_decode":false,"#
            + #""remote_block_ids":\#(AnswerContext.list(Array(1...max(1, blocks)))),"#
            + #""remote_engine_id":\#(JSONString.encode("\(host):\(port)")),"#
            + #""remote_host":\#(JSONString.encode(host)),"remote_handshake_port":\#(port),"#
            + #""remote_notify_port":\#(port),"remote_dp_rank":\#(request.servedRank),"#
            + #""remote_dp_rank_override":true,"remote_dp_size":\#(ranks.count),"#
            + #""remote_dp_size_local":\#(ranks.count),"tp_size":\#(core.configuration.ranks),"#
            + #""transfer_id":\#(JSONString.encode(key))}"#
    }

    /// Host and notify port given in the parameters; all three fields are needed (`moriio_common.py` 612).
    private static func explicitAddress(_ transfer: JSONView) -> Endpoint? {
        guard let host = transfer["remote_host"]?.string, transfer["remote_handshake_port"]?.int != nil,
            let port = transfer["remote_notify_port"]?.int, (1...65_535).contains(port)
        else { return nil }
        return Endpoint(host: host, port: port)
    }

    /// Host and notify port in the request id: `___prefill_addr_host:h,handshake:p,notify:q___decode_addr_…_<hex>`.
    private static func address(of request: ActiveRequest, _ mark: String) -> Endpoint? {
        guard let start = request.requestID.firstRange(of: mark)?.upperBound else { return nil }
        var fields: [Substring: Substring] = [:]
        for field in request.requestID[start...].split(separator: ",").prefix(3) {
            guard let colon = field.firstIndex(of: ":") else { return nil }
            fields[field[..<colon]] = field[field.index(after: colon)...]
        }
        guard let host = fields["host"], let notify = fields["notify"], fields["handshake"] != nil,
            let port = Int(notify.prefix { $0.isNumber }), (1...65_535).contains(port)
        else { return nil }
        return Endpoint(host: String(host), port: port)
    }
}
