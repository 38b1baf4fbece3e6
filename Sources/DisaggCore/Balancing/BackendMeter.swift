internal import NIOConcurrencyHelpers
internal import Synchronization

/// The numbers of one backend that picks read and all event loops write: each is one atomic word.
///
/// Times are nanoseconds of a monotonic clock, as arguments.
package final class BackendMeter: Sendable {
    /// Unique among all backends a pool ever had; a later backend has a greater one.
    package let serial: Int
    /// The topology group: transfers within one are cheap.
    package let group: Int
    private let totals: RoleTotals

    private let open = Atomic<Int>(0)
    private let tokens = Atomic<Int>(0)
    private let weightBits = Atomic<UInt64>((1.0).bitPattern)
    private let flags = Atomic<UInt8>(0)
    private let blockedUntil = Atomic<UInt64>(0)
    private let trial = Atomic<Int>(BackendMeter.noTrial)
    private let rampStart = Atomic<UInt64>(0)
    private let rampEnd = Atomic<UInt64>(0)
    private let openLimit = Atomic<Int>(.max)
    private let cacheSince = Atomic<UInt64>(0)
    private let prompts = Atomic<Int>(0)
    private let promptTokens = Atomic<Int>(0)
    private let latencies = LatencyAverages()
    private let speedBits = Atomic<UInt64>(0)
    private let lastObserved = Atomic<UInt64>(0)
    private let speed = NIOLockedValueBox(ThroughputMeter())
    /// What the engine said last: when (`UInt64.max` where never), and each number (-1 and NaN where it did not tell). A
    /// reader may see some of a newer report, which is as good.
    private let loadTime = Atomic<UInt64>(.max)
    private let loadRunning = Atomic<Int>(-1)
    private let loadWaiting = Atomic<Int>(-1)
    private let loadForeign = Atomic<Int>(0)
    private let loadUsage = Atomic<UInt64>(Double.nan.bitPattern)
    /// Room for KV that is on its way or waits to be used, in chunks.
    package let budget: ChunkBudget

    /// Why a backend takes no new request.
    package struct Block: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// It is drained, by hand or by the deployment's change.
        package static let draining = Block(rawValue: 1 << 0)
        /// Its health checks fail, or its port refuses connections.
        package static let down = Block(rawValue: 1 << 1)
    }

    private static let noTrial = -1
    /// A share of the full weight that a recovered backend begins with.
    private static let firstShare = 0.1

    package init(serial: Int, group: Int = 0, totals: RoleTotals = RoleTotals(), budget: ChunkBudget = ChunkBudget()) {
        self.serial = serial
        self.group = group
        self.totals = totals
        self.budget = budget
    }

    // MARK: Load

    /// Requests open there.
    package var inFlight: Int { open.load(ordering: .relaxed) }
    /// Requests open at all backends of the role.
    package var roleInFlight: Int { totals.inFlight }
    /// Prompt tokens of the open requests, less what the prefix cache was thought to hold.
    package var queuedTokens: Int { tokens.load(ordering: .relaxed) }

    /// Counts a request in; paired with ``leave(tokens:)`` of the same number.
    package func enter(tokens count: Int = 0) {
        open.wrappingAdd(1, ordering: .relaxed)
        if count != 0 { tokens.wrappingAdd(count, ordering: .relaxed) }
        totals.add(1)
        if trial.load(ordering: .relaxed) == 0 {
            _ = trial.compareExchange(expected: 0, desired: 1, ordering: .relaxed)
        }
    }

    /// Counts a request out.
    package func leave(tokens count: Int = 0) {
        open.wrappingSubtract(1, ordering: .relaxed)
        if count != 0 { tokens.wrappingSubtract(count, ordering: .relaxed) }
        totals.add(-1)
        // A trial that ended without a verdict makes room for the next.
        if trial.load(ordering: .relaxed) == 1 {
            _ = trial.compareExchange(expected: 1, desired: 0, ordering: .relaxed)
        }
    }

    /// Prompts that the backend has to compute without a prefill backend, and has not answered yet.
    package var openPrompts: Int { prompts.load(ordering: .relaxed) }
    /// Their tokens, less what it was thought to have cached.
    package var openPromptTokens: Int { promptTokens.load(ordering: .relaxed) }

    /// Counts such a prompt in; paired with ``endPrompt(tokens:)`` of the same number.
    package func beginPrompt(tokens count: Int) {
        prompts.wrappingAdd(1, ordering: .relaxed)
        promptTokens.wrappingAdd(count, ordering: .relaxed)
    }

    /// Counts such a prompt out.
    package func endPrompt(tokens count: Int) {
        prompts.wrappingSubtract(1, ordering: .relaxed)
        promptTokens.wrappingSubtract(count, ordering: .relaxed)
    }

    // MARK: Whether it may be chosen

    /// Whether the backend may get a new request now.
    ///
    /// - Parameter despiteHealth: whether health, breaker and back-pressure are overlooked: all backends are down.
    package func isEligible(at now: UInt64, despiteHealth: Bool = false) -> Bool {
        let flags = Block(rawValue: flags.load(ordering: .relaxed))
        guard open.load(ordering: .relaxed) < openLimit.load(ordering: .relaxed) else { return false }
        if despiteHealth { return !flags.contains(.draining) }
        return flags.isEmpty && blockedUntil.load(ordering: .relaxed) <= now && trial.load(ordering: .relaxed) < 1
    }

    /// Whether only its limits keep it from new requests: waiting helps.
    package func isHealthy(at now: UInt64) -> Bool {
        flags.load(ordering: .relaxed) == 0 && blockedUntil.load(ordering: .relaxed) <= now
    }

    package var blocks: Block { Block(rawValue: flags.load(ordering: .relaxed)) }

    package func block(_ reason: Block) { flags.bitwiseOr(reason.rawValue, ordering: .relaxed) }
    package func unblock(_ reason: Block) { flags.bitwiseAnd(~reason.rawValue, ordering: .relaxed) }

    /// Keeps new requests away until a moment: back-pressure, or an open breaker.
    package func block(until: UInt64) { blockedUntil.store(until, ordering: .relaxed) }
    /// The end of the present block; 0 or past where there is none.
    package var blockedTime: UInt64 { blockedUntil.load(ordering: .relaxed) }

    /// From now on one request at a time, until ``endTrial()``.
    package func beginTrial() { trial.store(0, ordering: .relaxed) }
    package func endTrial() { trial.store(Self.noTrial, ordering: .relaxed) }

    /// Most requests open at once; nil where there is no limit.
    package var limit: Int? {
        get {
            let value = openLimit.load(ordering: .relaxed)
            return value == .max ? nil : value
        }
        set { openLimit.store(newValue ?? .max, ordering: .relaxed) }
    }

    // MARK: Weight

    /// The weight set by hand: 1 is a full share, 0 none.
    package var baseWeight: Double {
        get { Double(bitPattern: weightBits.load(ordering: .relaxed)) }
        set { weightBits.store(min(1, max(0, newValue)).bitPattern, ordering: .relaxed) }
    }

    /// Lets the weight grow from a tenth to its full value over a time: caches and compiled graphs are cold.
    package func beginRamp(at now: UInt64, nanoseconds: UInt64) {
        rampStart.store(now, ordering: .relaxed)
        rampEnd.store(now + nanoseconds, ordering: .relaxed)
    }

    /// The weight that counts now, 0...1.
    @inline(__always)
    package func weight(at now: UInt64) -> Double {
        let base = baseWeight
        let end = rampEnd.load(ordering: .relaxed)
        guard now < end else { return base }
        let start = rampStart.load(ordering: .relaxed)
        guard now > start, end > start else { return base * Self.firstShare }
        return base * max(Self.firstShare, Double(now - start) / Double(end - start))
    }

    /// ``weight(at:)`` as a divisor: never 0.
    @inline(__always)
    package func share(at now: UInt64) -> Double { max(0.001, weight(at: now)) }

    /// Requests open there, one more included, in relation to the weight.
    @inline(__always)
    package func load(at now: UInt64) -> Double { Double(inFlight + 1) / share(at: now) }

    // MARK: Observations

    /// What was cached before this moment is gone: the engine was restarted.
    package var cacheValidSince: UInt64 {
        get { cacheSince.load(ordering: .relaxed) }
        set { cacheSince.store(newValue, ordering: .relaxed) }
    }

    /// Prompt tokens computed in a second of being busy; nil until observed.
    package var tokensPerSecond: Double? {
        let value = Double(bitPattern: speedBits.load(ordering: .relaxed))
        return value > 0 ? value : nil
    }

    /// A prefill was sent.
    package func prefillBegan(at now: UInt64) { speed.withLockedValue { $0.began(at: now) } }

    /// A prefill ended; `tokens` is 0 where it failed.
    package func prefillEnded(tokens: Int, at now: UInt64) {
        lastObserved.store(now, ordering: .relaxed)
        let value = speed.withLockedValue { meter -> Double? in
            meter.ended(tokens: tokens, at: now)
            return meter.tokensPerSecond
        }
        if let value { speedBits.store(value.bitPattern, ordering: .relaxed) }
    }

    /// Seconds from a leg's dispatch to a prefill engine's answer, or to a stream's first byte; nil until observed.
    package var timeToFirstToken: Double? { latencies.timeToFirstToken }

    /// A leg had its first token: takes its time into the moving average.
    package func observe(timeToFirstToken seconds: Double, at now: UInt64) {
        lastObserved.store(now, ordering: .relaxed)
        latencies.observe(timeToFirstToken: seconds)
    }

    /// Seconds between two tokens of a stream, and the number of requests that ran then; nil until observed.
    package var timePerToken: (seconds: Double, running: Double)? { latencies.timePerToken }

    /// A stream ended: takes its mean time between tokens into the moving average.
    package func observe(timePerToken seconds: Double, running: Int, at now: UInt64) {
        lastObserved.store(now, ordering: .relaxed)
        latencies.observe(timePerToken: seconds, running: running)
    }

    /// Observations older than this say nothing any more, in nanoseconds.
    private static let observationLifetime: UInt64 = 30_000_000_000

    /// Forgets how fast the engine was where nothing was observed for long: an engine that is avoided for its speed would
    /// never be seen to have recovered.
    package func forgetOldObservations(at now: UInt64) {
        let last = lastObserved.load(ordering: .relaxed)
        guard last > 0, now > last, now - last > Self.observationLifetime, inFlight == 0 else { return }
        lastObserved.store(0, ordering: .relaxed)
        speed.withLockedValue { $0 = ThroughputMeter() }
        speedBits.store(0, ordering: .relaxed)
        latencies.forget()
    }

    /// What the engine itself said last; nil where it never did.
    @inline(__always)
    package var lastLoad: EngineLoad? {
        let time = loadTime.load(ordering: .relaxed)
        guard time != .max else { return nil }
        let usage = Double(bitPattern: loadUsage.load(ordering: .relaxed))
        var load = EngineLoad(
            time: time, running: Self.told(loadRunning), waiting: Self.told(loadWaiting),
            cacheUsage: usage.isNaN ? nil : usage)
        load.foreign = loadForeign.load(ordering: .relaxed)
        return load
    }

    /// What the engine said last; nil where it never did, or too long ago.
    @inline(__always)
    package func freshLoad(at now: UInt64) -> EngineLoad? { lastLoad.flatMap { $0.isFresh(at: now) ? $0 : nil } }

    @inline(__always)
    private static func told(_ number: borrowing Synchronization.Atomic<Int>) -> Int? {
        let value = number.load(ordering: .relaxed)
        return value >= 0 ? value : nil
    }

    /// Takes in what the engine says of itself.
    ///
    /// - Parameter seen: requests of this proxy that it may have counted in, for they were open at some moment since it was
    ///   asked; without them one that ended meanwhile would be taken for another router's.
    package func report(_ load: EngineLoad, seen: Int = 0) {
        // Compared at once: against a later number of open requests, an old one would tell of requests that never were.
        let foreign = max(0, (load.running ?? 0) + (load.waiting ?? 0) - max(inFlight, seen))
        loadRunning.store(load.running.map { max(0, $0) } ?? -1, ordering: .relaxed)
        loadWaiting.store(load.waiting.map { max(0, $0) } ?? -1, ordering: .relaxed)
        loadForeign.store(foreign, ordering: .relaxed)
        loadUsage.store((load.cacheUsage ?? .nan).bitPattern, ordering: .relaxed)
        loadTime.store(load.time, ordering: .releasing)
    }
}
