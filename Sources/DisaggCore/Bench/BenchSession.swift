internal import DequeModule
internal import NIOCore

/// One benchmark on one event loop: starts requests, keeps connections, counts. Never leaves its loop.
final class BenchSession {
    /// What the run comes to.
    enum Outcome: Sendable {
        case done(BenchMeasurement)
        case failed(CommandError)
    }

    enum Phase { case opening, warmup, measured, over }

    /// How often deadlines are looked at.
    static let tick = TimeAmount.milliseconds(100)
    /// Connections being made at once: more than a listening socket's queue takes would be dropped and tried again a
    /// second later.
    static let maximumConnecting = 256
    static let connectTimeout = TimeAmount.seconds(10)

    var settings: BenchSettings
    let reactor: Reactor
    let control: BenchControl
    var tally = BenchTally()
    var phase = Phase.opening
    private let resolver: NameResolver
    private let completion: (Outcome) -> Void
    var addresses: [SocketAddress] = []
    private var writer: BenchRequestWriter?
    private var model = ""
    private var vocabulary = PromptVocabulary.unchecked
    /// Answers whose length the server has counted.
    var countedAnswers = 0
    var idle: [BenchConnection] = []
    var all: [ObjectIdentifier: BenchConnection] = [:]
    var active: [ObjectIdentifier: BenchExchange] = [:]
    var connecting = 0
    var connections = 0
    private var waitBefore: Int?
    var waiting: Deque<BenchExchange> = []
    private var source = BenchLoad.idle
    private var isFilling = false
    private let begunAt = BenchSession.now()

    init(settings: BenchSettings, reactor: Reactor, control: BenchControl, completion: @escaping (Outcome) -> Void) {
        self.settings = settings
        self.reactor = reactor
        self.control = control
        self.completion = completion
        resolver = NameResolver(reactor: reactor)
    }

    static func now() -> Int { Int(truncatingIfNeeded: NIODeadline.now().uptimeNanoseconds) }

    var keepsAlive: Bool { settings.keepsAlive }
    var openRequests: Int { active.count }

    // MARK: Phases

    func start() {
        scheduleTick()
        resolver.resolve(host: settings.target.host, port: settings.target.port) { [self] found in
            guard phase != .over else { return }
            guard !found.isEmpty else {
                return fail("the host \"\(settings.target.host)\" of \(settings.target) does not resolve")
            }
            addresses = found
            if let model = settings.model { calibrate(model) } else { askForModel() }
        }
    }

    func begin(_ model: String, _ vocabulary: PromptVocabulary) {
        guard phase == .opening else { return }
        self.model = model
        self.vocabulary = vocabulary
        writer = BenchRequestWriter(settings: settings, model: model, vocabulary: vocabulary)
        tally = BenchTally()
        tally.timeline.begin(at: Self.now())
        if settings.warmup > 0 {
            phase = .warmup
            source = .warmup(settings)
            fill()
        } else {
            measure()
        }
    }

    private func measure() {
        phase = .measured
        tally = BenchTally()
        tally.timeline.begin(at: Self.now())
        control.meter?.begin()
        waitBefore = ProcessUsage.threadWait()
        source = .measured(settings, now: Self.now())
        fill()
    }

    func fail(_ reason: String) { end(.failed(CommandError(reason, exitStatus: 1))) }

    private func finish() {
        control.meter?.end()
        // Those of the warm-up are used again.
        tally.connections = connections
        var measurement = BenchMeasurement(
            settings: settings, model: model, tally: tally, process: control.meter?.result)
        measurement.hasExactPrompts = vocabulary.isExact
        measurement.countedAnswers = countedAnswers
        measurement.promptForm = vocabulary.isIDs ? .ids : vocabulary.isExact ? .auto : .words
        if let before = waitBefore, let after = ProcessUsage.threadWait(), tally.nanoseconds > 0 {
            measurement.generatorWaitShare = Double(after - before) / Double(tally.nanoseconds)
        }
        end(.done(measurement))
    }

    private func end(_ outcome: Outcome) {
        guard phase != .over else { return }
        phase = .over
        for exchange in active.values { exchange.isOver = true }
        active = [:]
        waiting = []
        for connection in Array(all.values) { connection.shut() }
        idle = []
        completion(outcome)
    }

    // MARK: Load

    /// Starts what is due.
    func fill() {
        // A request that ends at once calls back from within.
        guard !isFilling, phase == .warmup || phase == .measured else { return }
        isFilling = true
        let now = Self.now()
        if control.isStopped { source.stop() }
        while hasRoom, let due = source.next(open: active.count, now: now) {
            if phase == .measured, settings.rate != nil { tally.lag.record(now - due) }
            startRequest(at: Self.now())
        }
        isFilling = false
        if let next = source.wakeUp {
            source.wakeUp = nil
            reactor.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(UInt64(max(0, next)))) { [self] in fill()
            }
        }
        if source.isExhausted, active.isEmpty { phaseEnded() }
    }

    /// A request would be sent now: what waits here for a connection would count as the server's time.
    private var hasRoom: Bool { !idle.isEmpty || connecting < Self.maximumConnecting }

    private func phaseEnded() {
        guard phase == .warmup else { return finish() }
        guard tally.succeeded > 0 else {
            guard let first = tally.failures.keys.min() else { return measure() }
            return fail(
                "no request of the warm-up was answered by \(settings.target); the first said: \(first): "
                    + (tally.examples[first] ?? ""))
        }
        measure()
    }

    private func startRequest(at now: Int) {
        guard let (request, item) = writer?.next() else { return }
        var demands = AnswerReader.Demands()
        demands.isStream = settings.isStream
        demands.checks = settings.checks || settings.checksOrder
        demands.checksOrder = settings.checksOrder
        demands.tokens = settings.ignoresEnd ? item.outputTokens : nil
        let exchange = BenchExchange(request: request, startedAt: now, demands: demands) { [self] exchange, fault in
            counted(exchange, fault)
        }
        exchange.wantedTokens = item.outputTokens
        exchange.promptTokens = item.promptTokens
        tally.started += 1
        if tally.startedAt == nil { tally.startedAt = now }
        send(exchange)
        tally.maximumOpen = max(tally.maximumOpen, active.count)
        let open = active.count
        tally.timeline.note(at: now) { slice in
            slice.started += 1
            slice.open = max(slice.open, open)
        }
    }

    private func counted(_ exchange: BenchExchange, _ fault: AnswerReader.Fault?) {
        let shown = fault.map { AnswerReader.Fault(kind: $0.kind, detail: mask($0.detail)) }
        tally.count(exchange, shown, at: Self.now(), objectives: settings.objectives)
        // Where nothing works, going on would only be noise.
        if tally.succeeded == 0, tally.failed >= max(100, 2 * (settings.concurrency ?? 0)) { source.stop() }
        fill()
    }

    /// Servers repeat the key in some of their errors.
    func mask(_ text: String) -> String {
        guard let key = settings.apiKey, !key.isEmpty else { return text }
        return text.split(separator: key, omittingEmptySubsequences: false).joined(separator: "***")
    }

    // MARK: Time

    private func scheduleTick() {
        reactor.assumeIsolated().scheduleTask(in: Self.tick) { [self] in
            guard phase != .over else { return }
            checkDeadlines()
            if phase != .over { scheduleTick() }
        }
    }

    private func checkDeadlines() {
        let now = Self.now()
        let timeout = Int(TimeAmount(settings.timeout).nanoseconds)
        let late = active.values.filter { now - $0.startedAt > min(timeout, $0.maximumTime) }
        for exchange in late {
            let tokens = exchange.answer.countedTokens
            exchange.connection?.shut()
            ended(
                exchange,
                AnswerReader.Fault(kind: .timeout, detail: "\(tokens) tokens within \(settings.timeout)"))
        }
        guard phase != .over else { return }
        control.meter?.tick(openRequests: active.count)
        if phase == .measured {
            let open = active.count
            tally.timeline.note(at: now) { $0.open = max($0.open, open) }
        }
        control.report(phase, tally: tally, open: active.count)
        let isOver = now - begunAt > Int(TimeAmount(settings.limit).nanoseconds)
        if isOver || control.isStoppedTwice || (control.isStopped && phase != .measured) {
            tally.cutOff = active.count
            tally.endedAt = now
            guard phase == .measured else {
                return fail("stopped, or the time of --max-seconds was over, before the measurement began")
            }
            finish()
        } else if control.isStopped {
            fill()
        }
    }
}
