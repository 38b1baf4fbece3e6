import NIOCore

/// vLLM's `NixlConnector` (pull): a finished prefill's blocks wait under a lease until the decoder of the same request reads
/// them, and with `bidirectional_kv_xfer` a decoder's wait for the next turn's prefill.
///
/// | what happens                                             | what the engines do                                      |
/// |----------------------------------------------------------|----------------------------------------------------------|
/// | nobody reads the blocks                                  | freed when the lease ends, 30 s (row 8)                  |
/// | the decoder has admitted the request and waits for room  | a heartbeat a sixth of the lease, each worth two thirds  |
/// | the decoder rejects the request, or its client leaves    | the producer is told (rows 9 and 10)                     |
/// | parameters of an unknown engine or of freed blocks       | 500 (row 13)                                             |
/// | a list of prompts                                        | only the first one's parameters come back                |
/// | a turn's parameters at the next prefill                  | its blocks are pulled from the decoder, once             |
///
/// Rows are those of Docs/EngineFacts.md. Source: vLLM 0.33.0 `nixl/pull_scheduler.py` 60-293, `base_scheduler.py` 81-250.
final class NIXLSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private let offers: RankedOffers
    private let loader: KVLoader
    private var ranks: DataParallelRanks
    private let timers: HandoffTimers
    private var nextBlock = 1
    /// Requests that wait for room, with what keeps their blocks alive.
    private var queued: [(request: ActiveRequest, source: KVClaims.Source)] = []
    private var heartbeat: RepeatedTask?

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        loader = KVLoader(core, noticesLoss: true)
        ranks = DataParallelRanks(count: core.configuration.dataParallel)
        let id = core.configuration.engineID ?? core.randomEngineID()
        offers = RankedOffers(
            core, ranks: ranks, claimsWait: false, engineID: { [ranks] in ranks.engineID(id, rank: $0) },
            onEvent: { core, event in
                core.offered(event, expiry: core.configuration.role == .decode ? .normal : .leak)
            })
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        let transfer = request.request.transfer
        let rank = ranks.pick(request.dataParallelRank)
        if let transfer, transfer["do_remote_decode"]?.bool == true {
            request.transferParameters = { [weak self, weak request] in
                guard let self, let request else { return "null" }
                return self.hold(request, rank: rank)
            }
            if let source = Self.source(transfer), core.configuration.isBidirectional {
                return pullTurn(source, transfer, for: request)
            }
        } else if let transfer, transfer["do_remote_prefill"]?.bool == true {
            if core.configuration.isBidirectional, core.configuration.role == .decode {
                request.recordsTokens = true
                request.transferParameters = { [weak self, weak request] in
                    guard let self, let request else { return "null" }
                    return self.keepTurn(request, rank: rank)
                }
            }
            if let source = Self.source(transfer) { return admit(request, source) }
        }
        core.scheduler.submit(request)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        if let index = queued.firstIndex(where: { $0.request === request }) {
            // Aborted before it was scheduled: an empty read tells the producer (`pull_scheduler.py` 217-228).
            loader.claims.release(queued.remove(at: index).source)
        }
        admitQueued()
    }

    func rejected(_ fields: [String: JSONView]) {
        guard let transfer = fields["kv_transfer_params"], transfer["do_remote_prefill"]?.bool == true,
            let source = Self.source(transfer)
        else { return }
        loader.claims.release(source)
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        offers.received(message, on: listener, from: channel, extension: timers.nixlLease * 2 / 3)
    }

    func closed(_ channel: any Channel, on listener: SideListener) {
        offers.closed(channel)
    }

    func close() {
        heartbeat?.cancel()
        offers.close()
        loader.close()
    }

    /// The fields a read needs; nil where one is missing or no block is named: vLLM then warns and computes the prompt itself
    /// (`pull_scheduler.py` 135-180).
    static func source(_ transfer: JSONView) -> KVClaims.Source? {
        guard let engine = transfer["remote_engine_id"]?.string, let request = transfer["remote_request_id"]?.string,
            let host = transfer["remote_host"]?.string, let port = transfer["remote_port"]?.int,
            (1...65_535).contains(port), let groups = transfer["remote_block_ids"]?.elements,
            groups.contains(where: { $0.integers?.isEmpty != true })
        else { return nil }
        return KVClaims.Source(endpoint: Endpoint(host: host, port: port), engineID: engine, key: request)
    }

    // MARK: Prefill

    /// Offers the blocks of a finished request's prompts; returns the `kv_transfer_params` of its answer.
    private func hold(_ request: ActiveRequest, rank: Int) -> String {
        guard let core else { return "null" }
        var parameters: [String] = []
        for (index, prompt) in request.request.prompts.enumerated() {
            let key = "\(request.baseID(prompt: index))-\(core.randomHex(8))"
            let blocks = core.blocks(prompt.count)
            offers[rank].offer(
                key, blocks: blocks, prompt: TokenHistory(prompt).hash, lifetime: core.lifetime(timers.nixlLease))
            parameters.append(
                describe(key, rank, blocks, tokens: prompt.count, isPrefill: true, expiry: "null"))
        }
        // Of several prompts only the first one's parameters come back (`completion/serving.py` 698-700).
        return parameters.first ?? "null"
    }

    private func describe(
        _ key: String, _ rank: Int, _ blocks: Int, tokens: Int, isPrefill: Bool, expiry: String
    ) -> String {
        guard let core else { return "null" }
        let first = nextBlock
        nextBlock = nextBlock > 30_000 ? 1 : nextBlock + blocks
        let port = core.ports.sideChannels.indices.contains(rank) ? core.ports.sideChannels[rank] : 0
        return #"{"do_remote_prefill":\#(isPrefill),"do_remote_decode":\#(!isPrefill),"#
            + #""remote_block_ids":[\#(AnswerContext.list(Array(first..<first + blocks)))],"#
            + #""remote_engine_id":\#(JSONString.encode(offers[rank].engineID)),"#
            + #""remote_request_id":\#(JSONString.encode(key)),"#
            + #""remote_host":\#(JSONString.encode(core.configuration.sideChannelHost)),"remote_port":\#(port),"#
            + #""tp_size":\#(core.configuration.ranks),"remote_num_tokens":\#(tokens),"dcp_size":1,"pp_size":1,"#
            + #""remote_blocks_expiry_time":\#(expiry),"remote_registration_generation":0,"transfer_mode":"pull","#
            + #""remote_prefill_cached_tokens":0}"#
    }

    /// Blocks below which a pull does not pay (`kv_recompute_threshold`), in tokens.
    private static let turnThreshold = 64

    /// A prefill whose conversation's last turn is still at a decoder.
    private func pullTurn(_ source: KVClaims.Source, _ transfer: JSONView, for request: ActiveRequest) {
        guard let core else { return }
        let tokens = transfer["remote_num_tokens"]?.int ?? 0
        guard tokens >= Self.turnThreshold, let prompt = request.request.prompts.first, tokens <= prompt.count else {
            loader.claims.release(source)
            return core.scheduler.submit(request)
        }
        loader.claims.claim(source, timeout: nil) { [weak core] outcome in
            guard let core else { return }
            if case .loaded(let blocks, let hash) = outcome {
                core.ledger.transferred += blocks
                if TokenHistory(Array(prompt.prefix(tokens))).hash != hash { core.ledger.protocolViolations += 1 }
            }
            guard !request.isOver, !core.ledger.dead else { return }
            guard case .loaded = outcome else {
                core.ledger.misses += 1
                core.log.rejected += 1
                return request.fail(.internalError)
            }
            core.ledger.hits += 1
            request.loadedTokens = tokens
            request.prefillTokens = max(0, request.prefillTokens - tokens)
            core.scheduler.submit(request)
        }
    }

    // MARK: Decode

    private func admit(_ request: ActiveRequest, _ source: KVClaims.Source) {
        queued.append((request, source))
        // The scheduler has seen the request: from now on the producer hears of it.
        loader.claims.heartbeat(source)
        if heartbeat == nil, let core {
            let interval = TimeAmount.nanoseconds(max(1, TimeAmount(timers.nixlLease).nanoseconds / 6))
            let bound = NIOLoopBound(self, eventLoop: core.loop)
            heartbeat = core.loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { task in
                let side = bound.value
                guard !side.queued.isEmpty else {
                    side.heartbeat = nil
                    return task.cancel()
                }
                for entry in side.queued { side.loader.claims.heartbeat(entry.source) }
            }
        }
        admitQueued()
    }

    private func admitQueued() {
        guard let core, !core.ledger.dead else { return }
        while let next = queued.first, core.active.count - queued.count < core.configuration.maximumRunning {
            queued.removeFirst()
            loader.load(next.request, from: [next.source], timeout: nil, otherwise: .error)
        }
    }

    /// Keeps a finished turn for the next one; returns the `kv_transfer_params` of its last chunk (§3.5).
    private func keepTurn(_ request: ActiveRequest, rank: Int) -> String {
        guard let core, let prompt = request.request.prompts.first, request.request.choices == 1 else { return "null" }
        // The last generated token's KV does not exist yet.
        let tokens = prompt + request.generatedIDs.dropLast()
        let key = request.internalID
        let lifetime = timers.nixlTurn
        offers[rank].offer(
            key, blocks: core.blocks(tokens.count), prompt: TokenHistory(tokens).hash, lifetime: lifetime)
        let expiry = Double(NIODeadline.now().uptimeNanoseconds) / 1e9 + Double(TimeAmount(lifetime).nanoseconds) / 1e9
        return describe(
            key, rank, core.blocks(tokens.count), tokens: tokens.count, isPrefill: false, expiry: "\(expiry)")
    }
}
