import DequeModule
import NIOCore

/// SGLang's prefill/decode disaggregation: both engines get the same request and meet in a *bootstrap room* at the prefill
/// engine, which begins when the decoder is there.
///
/// | what happens                                     | what the engines do                                              |
/// |--------------------------------------------------|------------------------------------------------------------------|
/// | a room used before                               | both schedulers die (SGLang issue 40125)                         |
/// | a prefill without a room                         | an assertion: the engine dies                                    |
/// | a decode without a room                          | 400: it cannot prefill                                           |
/// | lists of other lengths than the batch's          | 400                                                              |
/// | `n` above 1                                      | all samples of a prompt get its room: both engines wait 300 s, then fail |
/// | the legs name different ranks of the prefill     | they never meet                                                  |
/// | one leg never comes, is refused, aborted or dies | the other waits 300 s, then fails with 500 (#8177, #28651)       |
///
/// Source: SGLang `python/sglang/srt/disaggregation/{prefill,decode}.py`; sglang-router 0.3.2 `mini_lb.py`; for `n` SGLang
/// pull requests 24223, 26486 and 40297, none of them merged.
final class SGLangSide: EngineSide {
    private struct Waiting {
        var request: ActiveRequest
        var rooms: Set<Int>
        var timer: Scheduled<Void>?
    }

    /// Rooms remembered to tell a second use.
    private static let rememberedRooms = 100_000

    private weak var core: SimulatedEngineCore?
    private var offers: KVOffers?
    private let loader: KVLoader
    private let timers: HandoffTimers
    /// Prefill: requests whose decoder is not there yet.
    private var waiting: [ObjectIdentifier: Waiting] = [:]
    private var used: Set<Int> = []
    private var usedOrder: Deque<Int> = []

    init(_ core: SimulatedEngineCore) {
        self.core = core
        timers = core.configuration.timers
        loader = KVLoader(core, noticesLoss: false)
        offers = KVOffers(engineID: "", loop: core.loop, claimsWait: true) { [weak core] in core?.offered($0) }
        offers?.onWaiting = { [weak self] in self?.arrived($0) }
    }

    func shape(_ request: inout SimulatedRequest) throws(SimulatedAPIError) {
        guard let core, let room = request.routerFields["bootstrap_room"] else {
            if core?.configuration.role == .decode {
                throw .badRequest("Invalid request: Disaggregated request received without bootstrap room id.")
            }
            return
        }
        let batch = request.prompts.count
        let isList = request.isBatch || request.prompts.count > 1
        let rooms = Self.rooms(request)
        guard (room.kind == .array) == isList, rooms.count == batch, rooms.allSatisfy({ $0 >= 0 }) else {
            throw .badRequest("bootstrap_room must have \(batch) elements, one for each request of the batch.")
        }
        guard Self.bootstrap(request, count: batch) != nil else {
            throw .badRequest("bootstrap_host and bootstrap_port must have \(batch) elements.")
        }
        request.computesPrompt = core.configuration.role != .decode
        // The prefill server stops by itself at the first token ("Life cycle of a request in the prefill server").
        if core.configuration.role == .prefill {
            request.maximumTokens = min(1, request.maximumTokens ?? 1)
            request.minimumTokens = 0
        }
    }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        let rooms = Self.rooms(request.request)
        guard !rooms.isEmpty, rooms.allSatisfy(occupy) else { return core.crash() }
        if request.request.choices > 1 {
            fail(request, after: timers.sglangWaiting)
            return
        }
        request.servedRank = rank(of: request.request, "routed_dp_rank", rooms)
        if core.configuration.role == .prefill { return waitForDecoder(rooms, request) }
        guard let places = Self.bootstrap(request.request, count: rooms.count) else { return }
        let prefillRank = rank(of: request.request, "disagg_prefill_dp_rank", rooms)
        let sources = zip(rooms, places).map {
            KVClaims.Source(endpoint: $1, engineID: "", key: Self.key($0, rank: prefillRank))
        }
        loader.load(request, from: sources, timeout: timers.sglangWaiting, otherwise: .error)
    }

    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let core, core.configuration.role == .prefill else { return run() }
        let rooms = Self.rooms(request.request)
        let prompts = request.request.prompts
        var missing = rooms.count
        for (index, room) in rooms.enumerated() {
            let prompt = prompts.indices.contains(index) ? prompts[index] : prompts.first ?? []
            offers?.offer(
                Self.key(room, rank: request.servedRank), blocks: core.blocks(prompt.count),
                prompt: TokenHistory(prompt).hash,
                lifetime: core.lifetime(timers.sglangWaiting)
            ) {
                missing -= 1
                if missing == 0 { run() }
            }
        }
        guard missing > 0 else { return }
        // The decoder went away in between: the transfer never ends.
        fail(request, after: timers.sglangWaiting)
    }

    func ended(_ request: ActiveRequest, _ reason: FinishReason) {
        waiting.removeValue(forKey: ObjectIdentifier(request))?.timer?.cancel()
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        offers?.received(message, from: channel)
    }

    func closed(_ channel: any Channel, on listener: SideListener) { offers?.closed(channel) }

    func close() {
        for entry in waiting.values { entry.timer?.cancel() }
        waiting = [:]
        offers?.close()
        loader.close()
    }

    /// Queues a prefill once a decoder waits in each of its rooms.
    private func waitForDecoder(_ rooms: [Int], _ request: ActiveRequest) {
        let open = Set(rooms.filter { offers?.isAwaited(Self.key($0, rank: request.servedRank)) != true })
        if open.isEmpty {
            core?.scheduler.submit(request)
            return
        }
        waiting[ObjectIdentifier(request)] = Waiting(
            request: request, rooms: open, timer: fail(request, after: timers.sglangWaiting))
    }

    /// A decoder is in a room of one rank; one of another rank is not seen there.
    private func arrived(_ key: String) {
        for (id, var entry) in waiting {
            let room = entry.rooms.first { Self.key($0, rank: entry.request.servedRank) == key }
            guard let room else { continue }
            entry.rooms.remove(room)
            waiting[id] = entry
            guard entry.rooms.isEmpty else { return }
            waiting[id] = nil
            entry.timer?.cancel()
            core?.scheduler.submit(entry.request)
            return
        }
    }

    /// The rank that serves a request: the one that is named, else by its room, as SGLang balances them.
    private func rank(of request: SimulatedRequest, _ field: String, _ rooms: [Int]) -> Int {
        let ranks = max(1, core?.configuration.dataParallel ?? 1)
        return request.routerFields[field]?.int ?? (rooms.first ?? 0) % ranks
    }

    private static func key(_ room: Int, rank: Int) -> String { "\(rank)/\(room)" }

    @discardableResult
    private func fail(_ request: ActiveRequest, after limit: Duration) -> Scheduled<Void>? {
        core?.loop.assumeIsolated().scheduleTask(in: TimeAmount(limit)) { [weak core] in
            guard let core, !core.ledger.dead, !request.isOver else { return }
            core.log.rejected += 1
            core.scheduler.remove(request)
            request.fail(.internalError)
        }
    }

    /// False where the room was used before.
    private func occupy(_ room: Int) -> Bool {
        guard used.insert(room).inserted else { return false }
        usedOrder.append(room)
        if usedOrder.count > Self.rememberedRooms { used.remove(usedOrder.removeFirst()) }
        return true
    }

    private static func rooms(_ request: SimulatedRequest) -> [Int] {
        let field = request.routerFields["bootstrap_room"]
        return field?.integers ?? field?.int.map { [$0] } ?? []
    }

    /// Where each request of a batch finds its prefill engine.
    private static func bootstrap(_ request: SimulatedRequest, count: Int) -> [Endpoint]? {
        guard let host = request.routerFields["bootstrap_host"], let port = request.routerFields["bootstrap_port"]
        else {
            return nil
        }
        let hosts = host.string.map { [$0] } ?? host.elements.compactMap(\.string)
        let ports = port.int.map { [$0] } ?? port.integers ?? []
        guard hosts.count == count, ports.count == count, ports.allSatisfy({ (1...65_535).contains($0) }) else {
            return nil
        }
        return zip(hosts, ports).map { Endpoint(host: $0, port: $1) }
    }
}
