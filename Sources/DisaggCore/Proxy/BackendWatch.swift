internal import HTTPTypes
internal import Logging
internal import NIOCore

/// The monitor's part that lives on its event loop: whose turn it is, and what came back.
final class BackendWatch {
    /// How often it is looked whose turn it is.
    private static let tickInterval = TimeAmount.milliseconds(100)
    /// A backend that is down is asked at least this often: an engine that is back is used soon.
    private static let downInterval = Duration.milliseconds(500)
    /// How long nothing more is asked of an engine that tells no load at all.
    private static let unknownLoadPause = Duration.seconds(60)
    /// A larger page is not read.
    private static let maximumPage = 8 << 20

    /// Where an engine tells its load.
    private enum LoadSource: String, CaseIterable {
        case metrics = "/metrics"
        case serverLoad = "/load"
        case ranks = "/get_load"
    }

    private struct Watched {
        let state: BackendState
        var nextCheck: NIODeadline
        var nextScrape: NIODeadline
        var source = LoadSource.metrics
        var isChecking = false
        var isScraping = false
    }

    private let reactor: Reactor
    private let pool: BackendPool
    private let admission: AdmissionGate
    private let logger: Logger
    private let upstream: UpstreamPool
    private let heads = RequestHeadWriter(HeaderBlock(), requestID: "disagg-monitor")
    private var watched: [Int: Watched] = [:]
    private var generation = -1
    private var timer: RepeatedTask?

    /// Hears of the members, at first and whenever they change.
    private let onChange: (PoolSnapshot) -> Void

    init(
        reactor: Reactor, pool: BackendPool, admission: AdmissionGate, logger: Logger,
        onChange: @escaping (PoolSnapshot) -> Void
    ) {
        self.onChange = onChange
        self.reactor = reactor
        self.pool = pool
        self.admission = admission
        self.logger = logger
        upstream = UpstreamPool(
            reactor: reactor, connectTimeout: TimeAmount(pool.routing.prefill.healthTimeout), judges: false,
            logger: logger)
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: reactor)
        timer = reactor.scheduleRepeatedTask(initialDelay: .zero, delay: Self.tickInterval) { _ in
            bound.value.advance()
        }
    }

    func stop() {
        timer?.cancel()
        upstream.shutDown()
    }

    private func advance() {
        upstream.tick += 1
        if upstream.tick % 10 == 0 { upstream.closeExpired() }
        follow(pool.snapshot)
        let now = NIODeadline.now()
        for (serial, entry) in watched {
            entry.state.meter.forgetOldObservations(at: now.uptimeNanoseconds)
            if !entry.isChecking, entry.nextCheck <= now { check(serial, now) }
            if !entry.isScraping, entry.nextScrape <= now { scrape(serial, now) }
        }
        // Time alone makes room, too: back-pressure and breakers end.
        admission.roomFreed()
    }

    private func follow(_ snapshot: PoolSnapshot) {
        guard snapshot.generation != generation else { return }
        generation = snapshot.generation
        let now = NIODeadline.now()
        var next: [Int: Watched] = [:]
        for state in snapshot.all {
            let serial = state.meter.serial
            next[serial] =
                watched[serial]
                ?? Watched(
                    state: state, nextCheck: interval(of: state) == .zero ? .distantFuture : now,
                    nextScrape: pool.policies.needs.contains(.engineLoad) ? now : .distantFuture)
        }
        watched = next
        onChange(snapshot)
        admission.roomFreed()
    }

    private func routing(of state: BackendState) -> RoleRouting { pool.routing[state.backend.role] }

    private func interval(of state: BackendState) -> Duration { routing(of: state).healthInterval }

    private func ask(
        _ path: String, _ state: BackendState, timeout: Duration, fresh: Bool = false,
        completion: @escaping (Result<CollectingExchange.Answer, UpstreamFailure>) -> Void
    ) {
        let exchange = CollectingExchange(limit: Self.maximumPage, timeout: timeout, on: reactor) { [self] result in
            if case .failure(.staleConnection) = result {
                return ask(path, state, timeout: timeout, fresh: true, completion: completion)
            }
            completion(result)
        }
        upstream.send(
            head: heads.head(method: .get, target: path, backend: state, bodyBytes: nil), body: [], to: state,
            fresh: fresh, for: exchange)
    }

    // MARK: Health

    private func check(_ serial: Int, _ now: NIODeadline) {
        guard let state = watched[serial]?.state else { return }
        watched[serial]?.isChecking = true
        ask("/health", state, timeout: routing(of: state).healthTimeout) { [self] result in
            let cause: HealthMachine.Cause? =
                switch result {
                case .success(let answer): answer.head.status == 200 ? nil : .unhealthy
                case .failure(.connect): .refused
                case .failure: .silent
                }
            checked(serial, state, cause)
        }
    }

    private func checked(_ serial: Int, _ state: BackendState, _ cause: HealthMachine.Cause?) {
        let now = NIODeadline.now()
        if state.checked(cause, at: now) {
            logger.log(
                level: cause == nil ? .notice : .warning,
                cause == nil
                    ? "backend is healthy again" : "backend fails its health check, it is left out until it passes",
                metadata: [
                    "disagg.backend": "\(state.backend.id)", "disagg.address": "\(state.authority)",
                    "disagg.cause": "\(cause?.rawValue ?? "-")",
                ])
            if cause == nil { admission.roomFreed() }
        }
        let pause = state.downCause == nil ? interval(of: state) : min(interval(of: state), Self.downInterval)
        watched[serial]?.isChecking = false
        watched[serial]?.nextCheck = now + TimeAmount(pause)
    }

    // MARK: Load

    private func scrape(_ serial: Int, _ now: NIODeadline) {
        guard let entry = watched[serial] else { return }
        // What is down answers nothing, and its numbers are old soon.
        guard entry.state.downCause == nil else { return }
        watched[serial]?.isScraping = true
        let (open, sent) = (entry.state.inFlight, entry.state.picked)
        ask(entry.source.rawValue, entry.state, timeout: routing(of: entry.state).healthTimeout) { [self] result in
            scraped(serial, entry, result, seen: open + entry.state.picked - sent)
        }
    }

    /// - Parameter seen: requests that were open there at some moment since it was asked.
    private func scraped(
        _ serial: Int, _ entry: Watched, _ result: Result<CollectingExchange.Answer, UpstreamFailure>, seen: Int
    ) {
        let now = NIODeadline.now()
        watched[serial]?.isScraping = false
        watched[serial]?.nextScrape = now + TimeAmount(pool.routing.scrapeInterval)
        guard case .success(let answer) = result else { return }
        if answer.head.status == 200, let load = Self.load(answer.body, entry.source, now.uptimeNanoseconds) {
            return entry.state.meter.report(load, seen: seen)
        }
        // The engine does not tell it here: the next place is asked the next time.
        let sources = LoadSource.allCases
        let next = (sources.firstIndex(of: entry.source) ?? 0) + 1
        watched[serial]?.source = sources.indices.contains(next) ? sources[next] : .metrics
        if next == sources.count { watched[serial]?.nextScrape = now + TimeAmount(Self.unknownLoadPause) }
    }

    private static func load(_ body: ByteBuffer, _ source: LoadSource, _ time: UInt64) -> EngineLoad? {
        switch source {
        case .metrics: body.withUnsafeReadableBytes { EngineLoadReader.prometheus($0, time: time) }
        case .serverLoad: EngineLoadReader.serverLoad(Array(body.readableBytesView), time: time)
        case .ranks: EngineLoadReader.ranks(Array(body.readableBytesView), time: time)
        }
    }
}
