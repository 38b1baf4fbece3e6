internal import NIOCore

/// The proxy of a simulated deployment: pool and policies are the running proxy's own code, only the clock is the
/// simulation's.
///
/// A simulated prompt has a length and no text, so policies that look for sessions or cached prefixes find none and go by
/// load. Of a request's limits its answer's length is known, as a benchmark sends it.
package final class ClusterRouter {
    /// What the proxy is told.
    package struct Settings: Sendable, Hashable {
        /// The deployment file's section `routing`: policies, their tunables, limits, topology groups.
        package var routing = RoutingSettings()
        /// The section `admission`: how many requests wait where no engine has room, and for how long.
        package var admission = AdmissionSettings()
        /// KV chunks that may be on their way to one decoder, or wait there to be used; nil where nothing bounds them.
        package var decodeChunks: Int?
        /// Tokens of a KV chunk.
        package var chunkTokens = 256
        /// Seed of the policies' random choices.
        package var seed: UInt64 = 0

        package init() {}

        /// What a deployment's proxy is told.
        package init(_ deployment: Deployment) {
            routing = deployment.routing
            admission = deployment.admission
            decodeChunks = deployment.decodeChunks
            chunkTokens = max(1, deployment.lmcache.chunkSize)
        }
    }

    /// What was chosen for a request, and what it counts for there.
    struct Choice {
        /// Index of the prefill engine; nil where the decode engine does both.
        var prefill: Int?
        /// Index of the decode engine.
        var decode: Int
        /// Prompt tokens counted as queued at the engine that computes them.
        fileprivate var queuedTokens: Int
        /// Prompt tokens counted at the decode engine.
        fileprivate var promptTokens: Int
        /// Room taken of the decoder's buffer.
        fileprivate var chunks: Int
        /// When the decode engine's first token came, in ms.
        fileprivate var began: Double?
    }

    let settings: Settings
    private let pool: BackendPool
    private let prefills: [BackendMeter]
    private let decodes: [BackendMeter]
    private let needs: FactSet
    private var generator: SeededRandom
    private var facts = RequestFacts()
    private var nextScrape = 0.0

    /// Creates a proxy in front of that many engines of each role; without prefill engines, the decode engines do both.
    package init(prefills: Int, decodes: Int, _ settings: Settings = Settings()) {
        self.settings = settings
        func backends(_ role: BackendRole, _ count: Int) -> [Backend] {
            (0..<count).map { Backend(id: role.backendID(replica: $0), role: role, host: "127.0.0.1", port: 1) }
        }
        pool = BackendPool(
            prefill: backends(.prefill, prefills), decode: backends(.decode, max(1, decodes)),
            routing: settings.routing,
            decodeChunks: settings.decodeChunks)
        self.prefills = pool.prefill.map(\.meter)
        self.decodes = pool.decode.map(\.meter)
        needs = pool.policies.needs
        generator = SeededRandom(seed: settings.seed, stream: 3)
    }

    private static func nanoseconds(_ now: Double) -> UInt64 { UInt64(max(0, now) * 1e6) }

    /// Chooses a prefill and a decode engine, or an engine that does both, and counts the request there.
    ///
    /// - Parameter now: the simulation's time, in ms.
    /// - Returns: nil where no engine has room: the request waits in the proxy.
    func route(_ request: WorkloadRequest, at now: Double) -> Choice? {
        if needs.contains(.tokens) {
            facts.promptTokens = request.inputTokens
            facts.outputLimit = request.outputTokens
        }
        let time = NIODeadline.uptimeNanoseconds(Self.nanoseconds(now))
        guard !prefills.isEmpty else {
            guard
                case .chosen(let alone) = pool.pickAlone(
                    for: facts, PickConstraints(), at: time, using: &generator)
            else { return nil }
            let meter = alone.decode.meter
            meter.beginPrompt(tokens: facts.promptTokens)
            if needs.contains(.speed) { meter.prefillBegan(at: time.uptimeNanoseconds) }
            return count(prefill: nil, decode: meter, cachedTokens: 0, chunks: 0, at: time)
        }
        var constraints = PickConstraints()
        constraints.chunks = (request.inputTokens + settings.chunkTokens - 1) / settings.chunkTokens
        guard case .chosen(let pair) = pool.pickPair(for: facts, constraints, at: time, using: &generator),
            let chunks = pair.decode.meter.budget.take(constraints.chunks)
        else { return nil }
        return count(
            prefill: pair.prefill?.meter, decode: pair.decode.meter, cachedTokens: pair.cachedTokens, chunks: chunks,
            at: time)
    }

    private func count(
        prefill: BackendMeter?, decode: BackendMeter, cachedTokens: Int, chunks: Int, at time: NIODeadline
    ) -> Choice {
        let queued = max(0, facts.promptTokens - cachedTokens)
        prefill?.enter(tokens: queued)
        decode.enter(tokens: facts.promptTokens)
        if needs.contains(.speed) { prefill?.prefillBegan(at: time.uptimeNanoseconds) }
        // The pool numbers its members in order: prefill engines, then decode engines.
        return Choice(
            prefill: prefill?.serial, decode: decode.serial - prefills.count, queuedTokens: queued,
            promptTokens: facts.promptTokens, chunks: chunks)
    }

    /// The prefill engine has answered.
    func prefillEnded(_ choice: Choice, at now: Double) {
        guard let index = choice.prefill else { return }
        prefills[index].leave(tokens: choice.queuedTokens)
        if needs.contains(.speed) {
            prefills[index].prefillEnded(tokens: choice.queuedTokens, at: Self.nanoseconds(now))
        }
    }

    /// The decode engine's first token has come: it has used what was handed over.
    func decodeBegan(_ choice: inout Choice, at now: Double) {
        let meter = decodes[choice.decode]
        meter.budget.give(choice.chunks)
        choice.chunks = 0
        choice.began = now
        guard choice.prefill == nil else { return }
        meter.endPrompt(tokens: choice.queuedTokens)
        if needs.contains(.speed) { meter.prefillEnded(tokens: choice.queuedTokens, at: Self.nanoseconds(now)) }
    }

    /// The answer is complete.
    ///
    /// - Parameter tokens: tokens of the decode engine.
    func decodeEnded(_ choice: Choice, tokens: Int, at now: Double) {
        let meter = decodes[choice.decode]
        meter.budget.give(choice.chunks)
        if needs.contains(.speed), tokens > 1, let began = choice.began {
            meter.observe(
                timePerToken: (now - began) / 1e3 / Double(tokens), running: meter.inFlight, at: Self.nanoseconds(now))
        }
        meter.leave(tokens: choice.promptTokens)
    }

    /// Whether nothing is counted anywhere: all requests have ended.
    var isIdle: Bool {
        (prefills + decodes).allSatisfy { $0.inFlight == 0 && $0.queuedTokens == 0 && $0.budget.used == 0 }
    }

    /// Whether the engines' metrics are to be read: the interval has passed, and a policy asks for them.
    func isScrapeDue(at now: Double) -> Bool { needs.contains(.engineLoad) && now >= nextScrape }

    /// Takes in what the engines say of themselves.
    func scrape(prefill: [EngineLoad], decode: [EngineLoad], at now: Double) {
        nextScrape = now + Double(settings.routing.scrapeInterval.nanoseconds) / 1e6
        for (meters, loads) in [(prefills, prefill), (decodes, decode)] {
            for (meter, var load) in zip(meters, loads) {
                load.time = Self.nanoseconds(now)
                meter.report(load)
            }
        }
    }
}
