internal import NIOCore

/// What the admin API tells of one backend.
struct BackendStatus: Sendable {
    let backend: Backend
    /// `up`, `down`, `draining` or `drained`.
    let state: String
    /// Why it is down; nil where it is up.
    let cause: String?
    let breaker: String
    let weight: Double
    let inFlight: Int
    let queuedTokens: Int
    /// Prefills whose KV no decoder has taken yet.
    let openHandoffs: Int
    let picks: Int
    let failures: Int
    let overloads: Int
    /// KV chunks that are reserved at a decoder, and how many there are; nil where nothing bounds them.
    let chunks: (used: Int, capacity: Int)?
    /// Seconds from a leg's dispatch to its first token, as observed.
    let timeToFirstToken: Double?
    /// Seconds between the tokens of its streams, as observed.
    let timePerToken: Double?
    /// Prompt tokens it computes in a second, as observed.
    let tokensPerSecond: Double?
    let needsRestart: Bool
    let source: String?
    let pending: String?
    let engine: EngineLoad?
    /// How old the engine's own numbers are, in seconds, and whether that is too old for policies to use them.
    let engineAge: (seconds: Double, isStale: Bool)?

    init(_ state: BackendState, source: String?, pending: String?, at now: NIODeadline) {
        backend = state.backend
        let time = now.uptimeNanoseconds
        let down = state.downCause
        cause = down?.rawValue
        self.state =
            state.isDraining
            ? (state.isDrained(at: now) ? "drained" : "draining") : down != nil ? "down" : "up"
        breaker = state.breakerState(at: now)
        weight = state.meter.baseWeight
        inFlight = state.inFlight
        queuedTokens = state.meter.queuedTokens
        openHandoffs = state.openHandoffs
        picks = state.picked
        failures = state.failed
        overloads = state.overloaded
        chunks = state.meter.budget.capacity.map { (state.meter.budget.used, $0) }
        timeToFirstToken = state.meter.timeToFirstToken
        timePerToken = state.meter.timePerToken?.seconds
        tokensPerSecond = state.meter.tokensPerSecond
        needsRestart = state.needsRestart
        self.source = source
        self.pending = pending
        engine = state.meter.lastLoad
        engineAge = engine.map { ($0.age(at: time), !$0.isFresh(at: time)) }
    }

    /// Adds the members to an object.
    func write(to json: inout JSONBuilder) {
        json.member("id", backend.id)
        json.member("role", backend.role.rawValue)
        json.member("url", "http://\(backend.authority)")
        json.member("state", state)
        json.member("cause", cause)
        json.member("breaker", breaker)
        json.member("weight", weight)
        json.member("in_flight", inFlight)
        json.member("queued_tokens", queuedTokens)
        json.member("open_handoffs", openHandoffs)
        json.member("picks", picks)
        json.member("failures", failures)
        json.member("overloads", overloads)
        if let chunks {
            json.object("kv_chunks") {
                $0.member("used", chunks.used)
                $0.member("capacity", chunks.capacity)
            }
        }
        json.member("time_to_first_token_seconds", timeToFirstToken)
        json.member("time_per_token_seconds", timePerToken)
        json.member("tokens_per_second", tokensPerSecond)
        json.member("needs_restart", needsRestart)
        json.member("source", source)
        json.member("pending", pending)
        if let receiver = backend.receiver {
            json.object("receiver") {
                $0.member("host", receiver.host)
                $0.array("init_ports") { ports in for port in receiver.initPorts { ports.element(port) } }
                $0.array("alloc_ports") { ports in for port in receiver.allocPorts { ports.element(port) } }
            }
        }
        if let events = backend.kvEvents {
            json.member("kv_events", events.publishes.description)
            json.member("kv_replay", events.replays?.description)
        }
        if let engine, let engineAge {
            json.object("engine") {
                $0.member("running", engine.running)
                $0.member("waiting", engine.waiting)
                $0.member("kv_usage", engine.cacheUsage)
                $0.member("age_seconds", engineAge.seconds)
                $0.member("stale", engineAge.isStale)
            }
        }
    }

    /// The whole as an object.
    var json: [UInt8] { JSONBuilder.object { write(to: &$0) } }
}
