import Glibc
import HeapModule
import NIOCore

@testable import DisaggCore

func naturalLogarithm(_ value: Double) -> Double { log(value) }
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// A discrete-event simulation of a deployment under one policy: the policy's code and the pool's are the real ones, the
/// engines are a queue, a cache and a step time.
///
/// Times are those of the simulated engines (`TimingTable.h200Llama8B`). A prefill engine computes one prompt after
/// another and keeps blocks in an LRU cache; a decode engine gives each running request a token a step.
final class PolicySimulation {
    struct Cluster {
        /// Speed of each engine, 1 is an H200.
        var prefillSpeeds: [Double]
        var decodeSpeeds: [Double]
        var prefillGroups: [Int] = []
        var decodeGroups: [Int] = []
        /// Tokens a prefill engine's cache holds.
        var cacheTokens = 300_000
    }

    struct Result {
        var timesToFirstToken: [Double] = []
        var timesPerToken: [Double] = []
        var cachedTokens = 0
        var promptTokens = 0
        var prefillBusy: [Double] = []
        var decodeTokens: [Int] = []

        func firstToken(_ quantile: Double) -> Double { Self.quantile(timesToFirstToken, quantile) * 1000 }
        func perToken(_ quantile: Double) -> Double { Self.quantile(timesPerToken, quantile) * 1000 }
        var hitRate: Double { Double(cachedTokens) / Double(max(1, promptTokens)) }
        /// Busy time of the busiest prefill engine over the mean.
        var imbalance: Double {
            let mean = prefillBusy.reduce(0, +) / Double(max(1, prefillBusy.count))
            return (prefillBusy.max() ?? 0) / max(mean, 1e-9)
        }

        private static func quantile(_ values: [Double], _ quantile: Double) -> Double {
            let sorted = values.sorted()
            guard !sorted.isEmpty else { return 0 }
            return sorted[min(sorted.count - 1, Int(Double(sorted.count) * quantile))]
        }
    }

    private enum Event {
        case arrive(Int)
        case prefilled(Int)
        case received(Int)
        case step(Int)
        case scrape
    }

    private struct Scheduled: Comparable {
        let time: Double
        let order: Int
        let event: Event
        static func < (left: Scheduled, right: Scheduled) -> Bool {
            (left.time, left.order) < (right.time, right.order)
        }
        static func == (left: Scheduled, right: Scheduled) -> Bool { left.order == right.order }
    }

    private struct Prefill {
        var queue: [Int] = []
        var isBusy = false
        var busy = 0.0
        var cache: [UInt64: Int] = [:]
        var uses = 0
    }

    private struct Decode {
        var running: [Int] = []
        var waiting: [Int] = []
        var isStepping = false
        var tokens = 0
    }

    private struct Flight {
        var prefill: BackendState
        var decode: BackendState
        var queuedTokens: Int
        var left: Int
        var firstToken = 0.0
    }

    private let workload: SimulatedWorkload
    private let cluster: Cluster
    private let pool: BackendPool
    private let timing = MeasuredTiming()
    private var generator: SeededGenerator
    private var events = Heap<Scheduled>()
    private var nextOrder = 0
    private var now = 0.0
    private var prefills: [Prefill]
    private var decodes: [Decode]
    private var flights: [Int: Flight] = [:]
    private var result = Result()
    private let tunables: PairCostTunables
    /// Where the engines' KV events go, where a policy follows them.
    private let published: KVEventIndex?

    init(_ workload: SimulatedWorkload, _ cluster: Cluster, _ configure: (inout RoutingSettings) -> Void) {
        self.workload = workload
        self.cluster = cluster
        var routing = RoutingSettings()
        routing.prefill.groups = cluster.prefillGroups
        routing.decode.groups = cluster.decodeGroups
        configure(&routing)
        tunables = routing.pairCost
        func backends(_ role: BackendRole, _ count: Int) -> [Backend] {
            (0..<count).map { Backend(id: role.backendID(replica: $0), role: role, host: "127.0.0.1", port: 1 + $0) }
        }
        pool = BackendPool(
            prefill: backends(.prefill, cluster.prefillSpeeds.count),
            decode: backends(.decode, cluster.decodeSpeeds.count), routing: routing)
        published = (pool.policies.prefill as? KVEventsPolicy)?.events
        generator = SeededGenerator(seed: 17)
        prefills = Array(repeating: Prefill(), count: cluster.prefillSpeeds.count)
        decodes = Array(repeating: Decode(), count: cluster.decodeSpeeds.count)
    }

    /// Runs the workload to its end.
    func run() -> Result {
        for (index, request) in workload.requests.enumerated() { schedule(request.arrival, .arrive(index)) }
        schedule(0.5, .scrape)
        while let next = events.popMin() {
            now = next.time
            switch next.event {
            case .arrive(let request): arrive(request)
            case .prefilled(let engine): prefilled(engine)
            case .received(let request): received(request)
            case .step(let engine): step(engine)
            case .scrape: scrape()
            }
        }
        result.prefillBusy = prefills.map(\.busy)
        result.decodeTokens = decodes.map(\.tokens)
        return result
    }

    private func schedule(_ time: Double, _ event: Event) {
        events.insert(Scheduled(time: time, order: nextOrder, event: event))
        nextOrder += 1
    }

    /// The moment as the pool sees it.
    private var deadline: NIODeadline { .uptimeNanoseconds(UInt64((now + 1000) * 1e9)) }

    private func arrive(_ index: Int) {
        let request = workload.requests[index]
        var facts = RequestFacts()
        facts.promptTokens = request.promptTokens
        facts.outputLimit = 350
        facts.sessionKey = request.session
        facts.prefixKeys = request.prefixKeys
        if published != nil { facts.tokenIDs = Self.tokens(request.blocks[...]) }
        guard
            case .chosen(let pair) = pool.pickPair(for: facts, PickConstraints(), at: deadline, using: &generator),
            let prefill = pair.prefill
        else { return }
        let queued = max(0, request.promptTokens - pair.cachedTokens)
        prefill.enter(tokens: queued)
        pair.decode.enter(tokens: request.promptTokens)
        prefill.meter.prefillBegan(at: deadline.uptimeNanoseconds)
        flights[index] = Flight(
            prefill: prefill, decode: pair.decode, queuedTokens: queued, left: request.outputTokens)
        let engine = prefill.meter.serial
        prefills[engine].queue.append(index)
        prefillNext(engine)
    }

    private func prefillNext(_ engine: Int) {
        guard !prefills[engine].isBusy, let index = prefills[engine].queue.first else { return }
        let request = workload.requests[index]
        let cached = use(request.blocks, engine) * SimulatedWorkload.blockTokens
        result.cachedTokens += min(cached, request.promptTokens)
        result.promptTokens += request.promptTokens
        let time =
            timing.prefillMilliseconds(from: min(cached, request.promptTokens - 1), to: request.promptTokens)
            + (cached > 0 ? 15 : 0)
        let seconds = time / 1000 / cluster.prefillSpeeds[engine]
        prefills[engine].isBusy = true
        prefills[engine].busy += seconds
        schedule(now + seconds, .prefilled(engine))
    }

    /// Looks blocks up in an engine's cache and puts all of them in; the least recently used fall out.
    private func use(_ blocks: [UInt64], _ engine: Int) -> Int {
        var hits = 0
        while hits < blocks.count, prefills[engine].cache[blocks[hits]] != nil { hits += 1 }
        prefills[engine].uses += 1
        let use = prefills[engine].uses
        for block in blocks { prefills[engine].cache[block] = use }
        if hits < blocks.count { tell(engine, blocks, from: hits) }
        let capacity = cluster.cacheTokens / SimulatedWorkload.blockTokens
        if prefills[engine].cache.count > capacity + capacity / 8 {
            let oldest = prefills[engine].cache.sorted { ($0.value, $0.key) > ($1.value, $1.key) }
            published?.apply([.removed(oldest.dropFirst(capacity).map(\.key))], serial: engine)
            prefills[engine].cache = Dictionary(
                uniqueKeysWithValues: oldest.prefix(capacity).map { ($0.key, $0.value) })
        }
        return hits
    }

    /// Publishes that an engine computed the blocks of a prompt from one on.
    private func tell(_ engine: Int, _ blocks: [UInt64], from first: Int) {
        guard let published else { return }
        var stored = KVStoredBlocks()
        stored.hashes = Array(blocks[first...])
        stored.parent = first > 0 ? blocks[first - 1] : nil
        stored.tokens = Self.tokens(blocks[first...])
        stored.blockSize = SimulatedWorkload.blockTokens
        published.apply([.stored(stored)], serial: engine)
    }

    /// Token ids that are equal where the blocks are.
    private static func tokens(_ blocks: ArraySlice<UInt64>) -> [Int32] {
        var tokens: [Int32] = []
        tokens.reserveCapacity(blocks.count * SimulatedWorkload.blockTokens)
        for block in blocks {
            let token = Int32(truncatingIfNeeded: block)
            for _ in 0..<SimulatedWorkload.blockTokens { tokens.append(token) }
        }
        return tokens
    }

    private func prefilled(_ engine: Int) {
        let index = prefills[engine].queue.removeFirst()
        prefills[engine].isBusy = false
        if let flight = flights[index] {
            flight.prefill.leave(tokens: flight.queuedTokens)
            flight.prefill.meter.prefillEnded(
                tokens: flight.queuedTokens, at: deadline.uptimeNanoseconds)
            let within = flight.prefill.meter.group == flight.decode.meter.group
            let perToken = within ? tunables.secondsPerTokenWithin : tunables.secondsPerTokenAcross
            schedule(now + perToken * Double(workload.requests[index].promptTokens), .received(index))
        }
        prefillNext(engine)
    }

    private func decodeIndex(_ state: BackendState) -> Int { state.meter.serial - prefills.count }

    private func received(_ index: Int) {
        guard let flight = flights[index] else { return }
        let engine = decodeIndex(flight.decode)
        decodes[engine].waiting.append(index)
        if !decodes[engine].isStepping { beginStep(engine) }
    }

    private func beginStep(_ engine: Int) {
        decodes[engine].running += decodes[engine].waiting
        decodes[engine].waiting = []
        guard !decodes[engine].running.isEmpty else {
            decodes[engine].isStepping = false
            return
        }
        decodes[engine].isStepping = true
        let milliseconds = timing.decodeMilliseconds(running: decodes[engine].running.count)
        schedule(now + milliseconds / 1000 / cluster.decodeSpeeds[engine], .step(engine))
    }

    private func step(_ engine: Int) {
        let running = decodes[engine].running
        decodes[engine].tokens += running.count
        decodes[engine].running = running.filter { index in
            guard var flight = flights[index] else { return false }
            flight.left -= 1
            let request = workload.requests[index]
            if flight.firstToken == 0 {
                flight.firstToken = now
                result.timesToFirstToken.append(now - request.arrival)
            }
            guard flight.left <= 0 else {
                flights[index] = flight
                return true
            }
            let perToken = (now - flight.firstToken) / Double(max(1, request.outputTokens - 1))
            result.timesPerToken.append(perToken)
            flight.decode.leave(tokens: request.promptTokens)
            flight.decode.meter.observe(
                timePerToken: perToken, running: running.count, at: deadline.uptimeNanoseconds)
            flights[index] = nil
            return false
        }
        beginStep(engine)
    }

    private func scrape() {
        for state in pool.prefill {
            let engine = prefills[state.meter.serial]
            state.meter.report(
                EngineLoad(
                    time: deadline.uptimeNanoseconds, running: engine.isBusy ? 1 : 0,
                    waiting: max(0, engine.queue.count - 1), cacheUsage: 0.5))
        }
        for state in pool.decode {
            let engine = decodes[decodeIndex(state)]
            let tokens = engine.running.reduce(0) { $0 + workload.requests[$1].promptTokens }
            state.meter.report(
                EngineLoad(
                    time: deadline.uptimeNanoseconds, running: engine.running.count, waiting: engine.waiting.count,
                    cacheUsage: min(1, Double(tokens) / 553_344)))
        }
        if !flights.isEmpty || now < (workload.requests.last?.arrival ?? 0) { schedule(now + 1, .scrape) }
    }
}

/// Step times between measured points: one H200 with Llama-3.1-8B's shape and CUDA graphs, vLLM 0.24.0.
private struct MeasuredTiming {
    private static let prefill: [(Double, Double)] = [(128, 20.810), (1024, 40.491), (4096, 110.208), (16000, 499.385)]
    private static let decode: [(Double, Double)] = [(1, 4.862), (16, 5.206), (128, 10.711)]

    func prefillMilliseconds(from: Int, to: Int) -> Double {
        let end = Self.interpolate(Self.prefill, Double(to))
        return from <= 0 ? end : max(0, end - Self.interpolate(Self.prefill, Double(from)))
    }

    func decodeMilliseconds(running: Int) -> Double {
        running <= 0 ? 0 : Self.interpolate(Self.decode, Double(running))
    }

    /// Below the first point its value, above the last point along the last line.
    private static func interpolate(_ points: [(Double, Double)], _ amount: Double) -> Double {
        var (low, high) = (points[0], points[1])
        guard amount > low.0 else { return low.1 }
        for next in points.dropFirst(2) where amount > high.0 { (low, high) = (high, next) }
        return low.1 + (high.1 - low.1) / (high.0 - low.0) * (amount - low.0)
    }
}
