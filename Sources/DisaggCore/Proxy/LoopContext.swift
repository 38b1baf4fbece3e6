internal import Logging
internal import NIOCore

/// One event loop of a proxy: its connections to the engines, its requests under way, its counters. Never leaves the loop.
final class LoopContext {
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
    var passesUnderWay = 0
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

    /// How long a client's connection has had no request before it may end for another client.
    private static let leastIdle = TimeAmount.seconds(1)
    /// Connections that end at once for others.
    private static let maximumLeaving = 64

    func makeRoom() {
        let limit = NIODeadline.now() - Self.leastIdle
        let idle = connections.values.compactMap { connection in connection.idleSince.map { (since: $0, connection) } }
        for (_, connection) in idle.filter({ $0.since < limit }).sorted(by: { $0.since < $1.since })
            .prefix(Self.maximumLeaving)
        { connection.finishUp() }
    }

    /// Counts a driver in and starts it.
    func begin(_ driver: RequestDriver) {
        driver.slot = requests.add(driver)
        if driver.onEnd == nil { metrics.requestsInFlight += 1 }
        driver.start()
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
