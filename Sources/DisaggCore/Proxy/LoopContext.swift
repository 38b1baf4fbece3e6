internal import HTTPTypes
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Tracing

/// What every event loop of one proxy shares; immutable, or counted atomically.
final class ProxyShared: Sendable {
    let deployment: Deployment
    let pool: BackendPool
    let admission: AdmissionGate
    let factsReader: RequestFactsReader
    /// Which prompts' KV decoders have; nil where no decision depends on it.
    let decoderPrefixes: DecoderPrefixes?
    let handoff: any HandoffProtocol
    /// Prefill engines that a client's header may name.
    private let allowedPrefillers: [BackendState]
    /// What conversations left at their decoders; nil where turns are not handed back.
    let turns: NIOLockedValueBox<ConversationTurns>?
    let logger: Logger
    /// What an embedding application bootstrapped; nil where it did not, so that nothing is done for nobody.
    let tracer = RequestTrace.bootstrapped

    init(deployment: Deployment, policies: PolicySet? = nil, logger: Logger) {
        self.deployment = deployment
        self.logger = logger
        pool = BackendPool(
            prefill: deployment.backends(.prefill), decode: deployment.backends(.decode), routing: deployment.routing,
            decodeChunks: deployment.decodeChunks, policies: policies)
        admission = AdmissionGate(capacity: deployment.admission.queue)
        // LMCache's decoders run without a prefix cache (LMCache issue 2933): what they had is gone.
        let guesses = deployment.handoff != .lmcache
        let events = pool.policies.decode as? KVEventsPolicy
        let isAsked = deployment.conditional.minimumUncachedTokens > 0 && (guesses || events != nil)
        decoderPrefixes =
            isAsked ? DecoderPrefixes(deployment.routing.prefixCache, events: events, guesses: guesses) : nil
        factsReader = RequestFactsReader(
            needs: pool.policies.needs.union(decoderPrefixes?.needs ?? []), model: deployment.model,
            session: deployment.routing.session,
            admission: deployment.admission)
        handoff = HandoffKind.makeProtocol(deployment)
        let handsBack = deployment.handoff == .nixl && deployment.handoffOptions.bidirectional
        turns = handsBack ? NIOLockedValueBox(ConversationTurns()) : nil
        let pool = pool
        allowedPrefillers = deployment.proxy.requests.allowedPrefillers.map { target in
            // A backend of the deployment is counted as what it is.
            pool.prefill.first { $0.backend.host == target.host && $0.backend.port == target.port }
                ?? BackendState(
                    Backend(id: "prefiller-\(target)", role: .prefill, host: target.host, port: target.port))
        }
    }

    /// The prefill engine that a request's header names; nil where it names none.
    ///
    /// - Throws: ``DisaggError`` where what it names is no address or not on the deployment's list.
    func wishedPrefill(_ headers: HeaderBlock) throws(DisaggError) -> BackendState? {
        let allowed = allowedPrefillers
        guard
            let target = try PrefillerHeader.target(
                headers.all("x-prefiller-host-port"),
                allowed: allowed.map { Endpoint(host: $0.backend.host, port: $0.backend.port) })
        else { return nil }
        return allowed.first { $0.backend.host == target.host && $0.backend.port == target.port }
    }
}

/// One event loop of a proxy: its connections to the engines, its requests under way, its counters. Never leaves the loop.
final class LoopContext: ClientRequestHandler {
    /// How often deadlines are looked at. Coarse on purpose: one timer a loop instead of one a request.
    static let tickInterval = TimeAmount.milliseconds(100)

    let reactor: Reactor
    let index: Int
    let shared: ProxyShared
    let upstream: UpstreamPool
    let facts: EngineFactTable
    /// Whether a policy wants to know how fast engines are.
    let measuresSpeed: Bool
    var metrics = ProxyMetrics()
    /// The last requests, for the live page.
    private(set) var decisions = DecisionRing()
    /// Nil where requests are not logged.
    var accessLog: AccessLog?
    /// The time limits of new requests; a changed deployment file replaces them.
    var settings: ProxySettings {
        didSet { prefillTicks = Self.ticks(settings.prefillTimeout) }
    }
    /// The time limit of a prefill and the lease of its KV in ticks, for each request needs them.
    private(set) var prefillTicks: Int
    let leaseTicks: Int?
    var generator = RandomPool()
    /// When the loop's timer is due; how late it comes is the loop's lag.
    private var tickDue: NIODeadline?
    /// Reads the other loops' counters; set when the loops stand.
    var collectMetrics: (() -> EventLoopFuture<ProxyMetrics>)?

    private var requests = SlotTable<RequestDriver>()
    private var connections: [ObjectIdentifier: DownstreamConnection] = [:]
    private var awaitedNotices: [String: RequestDriver] = [:]
    private var strays: [String: StrayNotices] = [:]
    /// Most attempts whose late notifications are listened for.
    private static let maximumStrays = 4096
    /// Requests of this loop that wait for a backend.
    private var waiting: [AdmissionGate.Ticket: RequestDriver] = [:]
    /// Filled for each pick; its lists keep their memory.
    private var requestFacts = RequestFacts()
    private var lastMembers: PoolSnapshot
    var releasesUnderWay = 0
    private(set) var passesUnderWay = 0
    private var timer: RepeatedTask?
    private(set) var isDraining = false

    init(reactor: Reactor, index: Int, shared: ProxyShared) {
        self.reactor = reactor
        self.index = index
        self.shared = shared
        settings = shared.deployment.proxy
        prefillTicks = Self.ticks(shared.deployment.proxy.prefillTimeout)
        leaseTicks = shared.handoff.rules.lease.map(Self.ticks)
        lastMembers = shared.pool.snapshot
        measuresSpeed = shared.pool.policies.needs.contains(.speed)
        upstream = UpstreamPool(
            reactor: reactor, connectTimeout: .init(shared.deployment.proxy.connectTimeout),
            logger: shared.logger)
        facts = EngineFactTable(
            upstream: upstream, reactor: reactor, timeout: shared.deployment.proxy.connectTimeout)
    }

    // MARK: Time

    /// Starts the loop's timer.
    func start() {
        let bound = NIOLoopBound(self, eventLoop: reactor)
        timer = reactor.scheduleRepeatedTask(
            initialDelay: Self.tickInterval, delay: Self.tickInterval
        ) { _ in bound.value.advance() }
    }

    /// The number of ticks a duration takes, at least one.
    static func ticks(_ duration: Duration) -> Int {
        max(1, Int(TimeAmount(duration).nanoseconds / tickInterval.nanoseconds))
    }

    private func advance() {
        let now = NIODeadline.now()
        if let tickDue { metrics.loopLag.observe(nanoseconds: (now - tickDue).nanoseconds) }
        // A repeated task is due one interval after it ended.
        defer { tickDue = .now() + Self.tickInterval }
        accessLog?.flush()
        upstream.tick += 1
        for driver in requests.values { driver.checkDeadlines(tick: upstream.tick) }
        guard upstream.tick % 5 == 0 else { return }
        upstream.closeExpired()
        for (id, stray) in strays where upstream.tick >= stray.deadline {
            strays[id] = nil
            if stray.freesAtDeadline { release(stray.release) } else { end(stray.release.hold) }
        }
        for connection in Array(connections.values) { connection.checkDeadline(now: now) }
    }

    // MARK: Choosing

    /// The pool's members now.
    var members: PoolSnapshot {
        shared.pool.refresh(&lastMembers)
        return lastMembers
    }

    /// Chooses a pair, or for a request without hand-off a decoder.
    func pickFirst(
        for request: GenerationRequest, from origin: RequestOrigin, _ constraints: PickConstraints, alone: Bool
    ) -> PickResult<PickedPair> {
        let members = members
        return withFacts(of: request, from: origin, members) { facts in
            let now = NIODeadline.now()
            guard alone else {
                return shared.pool.pickPair(in: members, for: facts, constraints, at: now, using: &generator)
            }
            return shared.pool.pickAlone(in: members, for: facts, constraints, at: now, using: &generator)
        }
    }

    /// Chooses another backend of one role; nil where none is left or all are full.
    func pick(
        _ role: BackendRole, for request: GenerationRequest, from origin: RequestOrigin, _ constraints: PickConstraints
    ) -> BackendState? {
        let members = members
        let result = withFacts(of: request, from: origin, members) {
            shared.pool.pick(role, in: members, for: $0, constraints, at: .now(), using: &generator)
        }
        if case .chosen(let state) = result { return state }
        return nil
    }

    /// What can be known of a request.
    func facts(of request: GenerationRequest, from origin: RequestOrigin) -> RequestFacts {
        shared.factsReader.read(request, from: origin, into: &requestFacts)
        return requestFacts
    }

    @inline(__always)
    private func withFacts<Result>(
        of request: GenerationRequest, from origin: RequestOrigin, _ members: PoolSnapshot,
        _ body: (RequestFacts) -> Result
    ) -> Result {
        var facts = RequestFacts()
        swap(&facts, &requestFacts)
        defer { swap(&facts, &requestFacts) }
        shared.factsReader.read(request, from: origin, hasChoice: members.hasChoice, into: &facts)
        return body(facts)
    }

    /// Prompt tokens as the last pick's policies saw them, 0 where none asked.
    var pickedTokens: Int { requestFacts.promptTokens }

    /// Lets a request wait until a backend has room; nil where too many wait.
    func wait(_ driver: RequestDriver, from origin: RequestOrigin) -> AdmissionGate.Ticket? {
        let bound = NIOLoopBound(self, eventLoop: reactor)
        let reactor = reactor
        let ticket = shared.admission.wait(tenant: origin.tenant, priority: origin.priority) { ticket in
            reactor.execute { bound.value.wake(ticket) }
        }
        if let ticket { waiting[ticket] = driver }
        return ticket
    }

    private func wake(_ ticket: AdmissionGate.Ticket) {
        guard let driver = waiting[ticket] else { return shared.admission.leave(ticket) }
        driver.tryAgain(ticket)
    }

    /// A request waits no more.
    func stopWaiting(_ ticket: AdmissionGate.Ticket) {
        waiting[ticket] = nil
        shared.admission.leave(ticket)
    }

    /// A waiting request was woken and chose.
    func decided(_ ticket: AdmissionGate.Ticket, admitted: Bool) {
        if admitted { waiting[ticket] = nil }
        shared.admission.decided(ticket, admitted: admitted)
    }

    // MARK: Clients

    func opened(_ connection: DownstreamConnection) {
        connections[ObjectIdentifier(connection)] = connection
        metrics.connections += 1
        if isDraining { connection.finishUp() }
    }

    func closed(_ connection: DownstreamConnection) {
        if connections.removeValue(forKey: ObjectIdentifier(connection)) != nil { metrics.connections -= 1 }
    }

    func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
        let route = Route.find(method: request.method, path: request.path)
        switch route {
        case .generation(.native) where shared.deployment.handoff != .sglang && shared.deployment.handoff != .none:
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .notFound,
                    "\(request.path) is SGLang's; this proxy's hand-off is \(shared.deployment.handoff.rawValue)"))
        case .generation(let endpoint):
            return generate(request, endpoint: endpoint, to: sink)
        case .anyDecoder where !shared.handoff.rules.decoderServesAlone:
            sink.respond(
                DisaggError(
                    .notFound,
                    "\(request.path) needs an engine that serves it alone, which decoders of "
                        + "\(shared.deployment.handoff.rawValue) never do"))
        case .anyEngine, .anyDecoder, .holdingDecoder:
            let pass = PassThrough(loop: self, sink: sink, request: request, route: route)
            passesUnderWay += 1
            pass.start()
            return pass
        case .load: answerLoad(sink)
        // Probes and scrapes come by the second and are not logged.
        case .health: sink.respond(status: 200, lines: "", body: ByteBuffer())
        case .ready: Readiness.answer(loop: self, sink: sink)
        case .metrics: answerMetrics(sink, .asked(by: request.headers.first("accept")))
        case .notFound:
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .notFound,
                    "no such path: \(request.path); this proxy serves \(Route.served)"))
        case .methodNotAllowed(let allowed):
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .methodNotAllowed, "\(request.method.rawValue) is not allowed on \(request.path); use \(allowed)"),
                lines: "allow: \(allowed)\r\n")
        }
        return nil
    }

    private func generate(
        _ request: ClientRequest, endpoint: GenerationRequest.Endpoint, to sink: ResponseSink
    ) -> (any RequestInFlight)? {
        do throws(DisaggError) {
            let generation = try GenerationRequest(endpoint: endpoint, body: request.body)
            var wish = PairWish()
            wish.prefill = try shared.wishedPrefill(request.headers)
            switch try RequestSplitting.judge(generation, shared) {
            case .whole(let whole, let alone):
                let driver = RequestDriver(
                    loop: self, sink: sink, request: whole, headers: request.headers, parent: request.trace,
                    alone: alone)
                driver.wish = wish
                begin(driver)
                return driver
            case .parts(let split):
                let parts = PartedRequest(
                    loop: self, sink: sink, split: split, headers: request.headers, wish: wish, parent: request.trace)
                parts.start()
                return parts
            }
        } catch {
            var record = self.record(
                of: request, endpoint: endpoint.rawValue, reason: HandoffReason.invalidRequest.rawValue)
            sink.respond(
                status: error.code.statusCode,
                extraLines: "x-request-id: \(record.requestID)\r\n" + invalidRequestLine,
                json: endpoint.errorBody(error))
            record.status = error.code.statusCode
            ended(record, sink)
            return nil
        }
    }

    func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error, extraLines: invalidRequestLine) }

    /// The decision's line in the answer to what cannot be read; empty where the deployment does not show it.
    private var invalidRequestLine: String {
        guard settings.requests.showsDecision else { return "" }
        return HandoffDecision(handoff: shared.deployment.handoff, reason: .invalidRequest).line
    }

    /// Counts a driver in and starts it.
    func begin(_ driver: RequestDriver) {
        driver.slot = requests.add(driver)
        if driver.onEnd == nil { metrics.requestsInFlight += 1 }
        driver.start()
    }

    /// vLLM's `/load`: what the whole deployment has to do, as one engine tells it of itself.
    private func answerLoad(_ sink: ResponseSink) {
        guard let collectMetrics else {
            return sink.respond(status: 200, json: ByteBuffer(string: #"{"server_load":0}"#))
        }
        collectMetrics().hop(to: reactor).assumeIsolated().whenComplete { result in
            let load = (try? result.get())?.requestsInFlight ?? 0
            sink.respond(status: 200, json: ByteBuffer(string: #"{"server_load":\#(load)}"#))
        }
    }

    /// Answers a request that comes to no backend.
    ///
    /// - Parameter reason: one of a fixed set of words.
    private func refuse(
        _ request: ClientRequest, _ sink: ResponseSink, endpoint: String?, reason: String, _ error: DisaggError,
        lines: String = ""
    ) {
        var record = self.record(of: request, endpoint: endpoint, reason: reason)
        sink.respond(error, extraLines: lines + "x-request-id: \(record.requestID)\r\n")
        record.status = error.code.statusCode
        ended(record, sink)
    }

    /// What is known of a request that is no generation.
    func record(of request: ClientRequest, endpoint: String?, reason: String) -> RequestRecord {
        let id = RequestHeadWriter.requestID(request.headers, using: &generator, loop: index)
        var record = RequestRecord(
            method: request.method.rawValue, path: String(request.path), endpoint: endpoint, requestID: id,
            at: NIODeadline.now().uptimeNanoseconds)
        record.reason = reason
        record.traceID = TraceParent.traceID(request.headers.first("traceparent"))
        record.bytesIn = request.body.readableBytes
        return record
    }

    /// Counts and logs a request that is no generation.
    func ended(_ finished: RequestRecord, _ sink: ResponseSink) {
        var record = finished
        record.timeline.ended(at: NIODeadline.now().uptimeNanoseconds)
        record.endedAt = UTCTime.now
        record.bytesOut = sink.bodyBytes
        record.handoff = shared.deployment.handoff.rawValue
        metrics.count(record)
        accessLog?.add(record)
    }

    private func answerMetrics(_ sink: ResponseSink, _ format: PrometheusText.Format) {
        guard let collectMetrics else { return sink.respond(status: 200, lines: "", body: ByteBuffer()) }
        let shared = shared
        collectMetrics().hop(to: reactor).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let metrics):
                let families = metrics.families(
                    pool: shared.pool, handoff: shared.deployment.handoff, at: .now())
                sink.respond(
                    status: 200, lines: "content-type: \(format.contentType)\r\n",
                    body: ByteBuffer(string: PrometheusText.page(families, format: format)))
            case .failure(let error):
                sink.respond(DisaggError(.unavailable, "metrics cannot be read: \(error)"))
            }
        }
    }

    func finished(_ driver: RequestDriver) {
        guard let slot = driver.slot else { return }
        driver.slot = nil
        requests.remove(slot)
        if driver.onEnd == nil { metrics.requestsInFlight -= 1 }
    }

    func passFinished() { passesUnderWay -= 1 }

    /// Counts and logs a finished request.
    func record(_ record: inout RequestRecord) {
        record.endedAt = UTCTime.now
        metrics.record(record)
        decisions.add(record)
        accessLog?.add(record)
    }

    // MARK: Notifications

    func awaitNotices(_ id: RequestID, for driver: RequestDriver) { awaitedNotices[id.description] = driver }

    func forgetNotices(_ id: RequestID) { awaitedNotices[id.description] = nil }

    /// Frees what the notifications of an ended attempt announce.
    func expectStrays(_ id: RequestID, _ stray: StrayNotices) {
        guard strays.count < Self.maximumStrays else { return lose(stray.release.hold) }
        strays[id.description] = stray
    }

    /// A notification for a request of this loop.
    func noticeArrived(_ requestID: String, connection: UInt64) {
        if var stray = strays[requestID], !stray.known.contains(connection) {
            stray.known.append(connection)
            metrics.notificationsLate += 1
            strays[requestID] = stray.known.count < stray.expected ? stray : nil
            if strays[requestID] == nil { release(stray.release) }
            return
        }
        guard let driver = awaitedNotices[requestID] else {
            metrics.notificationsUnknown += 1
            return
        }
        driver.noticeArrived(requestID: requestID, connection: connection)
    }

    // MARK: The end

    /// Whether nothing is under way that a client or an engine waits for.
    var isIdle: Bool { requests.isEmpty && releasesUnderWay == 0 && passesUnderWay == 0 }

    /// Lets every connection end after its present answer.
    func drain() {
        isDraining = true
        for connection in Array(connections.values) { connection.finishUp() }
    }

    /// Ends everything.
    func shutDown() {
        timer?.cancel()
        for driver in requests.values {
            driver.slot = nil
            driver.abandon()
        }
        requests = SlotTable()
        awaitedNotices = [:]
        strays = [:]
        upstream.shutDown()
        accessLog?.flush()
    }
}
