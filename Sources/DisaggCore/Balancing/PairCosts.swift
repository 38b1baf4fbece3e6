/// Seconds until a prefill backend has computed a prompt; see ``PairCostPolicy``.
struct PrefillCost {
    private let promptTokens: Int
    private let match: PrefixMatch
    private let typicalSpeed: Double
    private let now: UInt64
    /// Seconds that a cached token is worth beyond those of computing it.
    private let secondsPerCachedToken: Double

    init(_ request: RequestFacts, _ match: PrefixMatch, _ candidates: Candidates, _ tunables: PairCostTunables) {
        promptTokens = request.promptTokens
        self.match = match
        now = candidates.now
        // What a backend without observations is taken for: the mean of the others, so that a new one is tried, not flooded.
        typicalSpeed = candidates.mean { $0.tokensPerSecond } ?? tunables.tokensPerSecond
        secondsPerCachedToken = (tunables.cachedTokenWorth - 1) / typicalSpeed
    }

    @inline(__always)
    func seconds(_ meter: BackendMeter, queue: PromptQueue = .all) -> Double {
        let fixed = ThroughputMeter.requestTokens
        let cached = match.tokens(serial: meter.serial)
        let own = max(0, promptTokens - cached) + fixed
        let queued: Int
        switch queue {
        case .all:
            // Other routers' requests are seen only in the engine's own numbers; they are taken to be like this one.
            let foreign = meter.freshLoad(at: now)?.foreign ?? 0
            queued =
                meter.queuedTokens + meter.inFlight * PairCostPolicy.queuedRequestTokens
                + foreign * (promptTokens + fixed)
        case .prompts:
            queued = meter.openPromptTokens + meter.openPrompts * PairCostPolicy.queuedRequestTokens
        }
        let speed = ObservedMean.significant(meter.tokensPerSecond ?? typicalSpeed, from: typicalSpeed)
        // Computed elsewhere, the prefix would take room in two caches, and the next turn find it in either.
        let worth = secondsPerCachedToken * Double(min(cached, promptTokens))
        return Double(own + queued) / (speed * meter.share(at: now)) - worth
    }
}

/// Seconds that a decode takes at a backend, and that it costs the requests there; see ``PairCostPolicy``.
struct DecodeCost {
    private let tokens: Double
    private let typicalPace: Double
    private let now: UInt64
    private let slowdown: Double
    private let cacheUsageLimit: Double
    private let weight: Double

    init(_ request: RequestFacts, _ candidates: Candidates, _ tunables: PairCostTunables) {
        tokens = Double(min(request.outputLimit ?? tunables.expectedTokens, tunables.expectedTokens))
        now = candidates.now
        slowdown = tunables.slowdownPerRequest
        cacheUsageLimit = tunables.cacheUsageLimit
        weight = tunables.decodeWeight
        let slowdown = slowdown
        typicalPace = candidates.mean { Self.pace(of: $0, slowdown) } ?? tunables.secondsPerToken
    }

    @inline(__always)
    func seconds(_ meter: BackendMeter, queue: PromptQueue = .all) -> Double {
        let load = meter.freshLoad(at: now)
        let running = Double(meter.inFlight + (load?.foreign ?? 0))
        let pace = ObservedMean.significant(Self.pace(of: meter, slowdown) ?? typicalPace, from: typicalPace)
        // A step with one request more is slower for all that run.
        let step = pace * (1 + (running + 1) * slowdown)
        let others = running * pace * slowdown
        var cost = tokens * (step + others)
        if let usage = load?.cacheUsage, usage > cacheUsageLimit {
            // A full KV cache preempts: beyond the limit the cost grows without bound.
            cost *= 1 + (usage - cacheUsageLimit) / max(0.01, 1 - usage)
        }
        if queue == .all, let waiting = load?.waiting, waiting > 0 {
            cost += Double(waiting) * tokens * step / max(1, running)
        }
        return cost * weight / meter.share(at: now)
    }

    /// A backend's time for a token if it ran one request.
    @inline(__always)
    private static func pace(of meter: BackendMeter, _ slowdown: Double) -> Double? {
        meter.timePerToken.map { $0.seconds / (1 + $0.running * slowdown) }
    }
}

/// What a backend has to do before it begins with a request.
enum PromptQueue {
    /// All that is open there, and for a decoder what it says waits: each backend has one half of a generation.
    case all
    /// The prompts that it has not answered: it does both. What it said of waiting ones may be a second old and they answered.
    case prompts
}

private enum ObservedMean {
    /// What engines that are alike are seen to do differs by what they happened to be sent: a small difference is none.
    @inline(__always)
    static func significant(_ value: Double, from mean: Double) -> Double {
        abs(value - mean) <= 0.15 * mean ? mean : value
    }
}
