internal import Logging
internal import NIOCore

/// Changes the pool's membership while requests run: for the admin API, for a new deployment file, for discovery.
///
/// Nothing in flight is lost by any change: a backend that leaves is drained first, which means for a prefill backend that
/// its hand-offs were used or their leases ended; requests that hold it go on with it in any case. One change after the
/// other; a drain that takes its time does not hold up the next change.
actor PoolController {
    /// What named a backend. Only the same source takes it out again.
    enum Source: String, Sendable {
        case deployment, admin, file, dns, ping
    }

    /// What happens to a backend once it is drained.
    enum Pending: Sendable, Equatable {
        case removal
        case role(Backend)

        var description: String {
            switch self {
            case .removal: "removal"
            case .role(let backend): "role \(backend.role.rawValue)"
            }
        }
    }

    /// Most backends of both roles together: bounds tables and label sets.
    static let maximumBackends = 1024
    /// How often a drain is looked at.
    private static let drainInterval = Duration.milliseconds(50)

    nonisolated let pool: BackendPool
    private let handoff: HandoffKind
    /// Why engines keep their roles; nil where they can change them.
    private let fixedRoles: String?
    private let logger: Logger
    private var sources: [String: Source] = [:]
    private var pending: [String: Pending] = [:]
    /// Restarts seen of each backend, by its serial number.
    private var restarts: [Int: Int] = [:]
    private var watches: [String: Task<Void, Never>] = [:]

    init(pool: BackendPool, deployment: Deployment, logger: Logger) {
        self.pool = pool
        handoff = deployment.handoff
        fixedRoles = deployment.reasonForFixedRoles
        self.logger = logger
        for state in pool.snapshot.all { sources[state.backend.id] = .deployment }
    }

    // MARK: Reading

    /// All backends, prefill first.
    func list() -> [BackendStatus] {
        let now = NIODeadline.now()
        return pool.snapshot.all.map { status(of: $0, at: now) }
    }

    /// One backend.
    func show(_ id: String) throws(DisaggError) -> BackendStatus { status(of: try find(id), at: .now()) }

    // MARK: Changes

    /// Adds a backend; it gets requests from the next pick on.
    func add(_ backend: Backend, weight: Double = 1, from source: Source) throws(DisaggError) -> BackendStatus {
        // Named again while it leaves: it stays.
        if let state = pool.snapshot.backend(id: backend.id), pending[backend.id] == .removal, state.backend == backend
        {
            sources[backend.id] = source
            return try resume(backend.id)
        }
        let snapshot = pool.snapshot
        guard snapshot.prefill.count + snapshot.decode.count < Self.maximumBackends else {
            throw DisaggError(
                .conflict, "there are \(Self.maximumBackends) backends already, the most that there may be")
        }
        if let twin = twin(of: backend) {
            throw DisaggError(.conflict, "\(twin.id) is at \(backend.authority) already, with the same role")
        }
        try checkReceiver(backend)
        let state: BackendState
        do {
            state = try pool.add(backend, weight: weight)
        } catch {
            throw DisaggError(.conflict, error.description)
        }
        sources[backend.id] = source
        log("backend added", backend.id, ["disagg.url": "\(backend.authority)", "disagg.source": "\(source.rawValue)"])
        return status(of: state, at: .now())
    }

    /// Gives a backend no new requests and lets it end those it has.
    func drain(_ id: String, isForced: Bool) throws(DisaggError) -> BackendStatus {
        let state = try find(id)
        if !state.isDraining {
            if !isForced { try checkNotLast(state) }
            _ = try? pool.drain(id: id)
            log("backend is drained", id)
        }
        return status(of: state, at: .now())
    }

    /// Takes a drain back, and what was to follow it.
    func resume(_ id: String) throws(DisaggError) -> BackendStatus {
        let state = try find(id)
        pending[id] = nil
        watches.removeValue(forKey: id)?.cancel()
        _ = try? pool.resume(id: id)
        // Whoever resumes a backend that was marked has seen to it.
        state.needsRestart = false
        log("backend takes requests again", id)
        return status(of: state, at: .now())
    }

    /// Drains a backend, then takes it out.
    ///
    /// - Parameter isForced: takes it out at once; what is open there goes on.
    func remove(_ id: String, isForced: Bool) throws(DisaggError) -> BackendStatus {
        let state = try find(id)
        if isForced {
            leave(id)
            return status(of: state, at: .now())
        }
        try checkNotLast(state)
        _ = try? pool.drain(id: id)
        pending[id] = .removal
        log("backend is removed once it is drained", id)
        watch(id)
        return status(of: state, at: .now())
    }

    /// Sets a backend's share of the requests, 0...1.
    func setWeight(_ id: String, to weight: Double) throws(DisaggError) -> BackendStatus {
        let state = try find(id)
        _ = try? pool.setWeight(id: id, to: weight)
        log("backend has a new weight", id, ["disagg.weight": "\(weight)"])
        return status(of: state, at: .now())
    }

    /// Drains a backend in its role, then gives it the other one.
    func setRole(_ id: String, to role: BackendRole, isForced: Bool) throws(DisaggError) -> BackendStatus {
        let state = try find(id)
        guard state.backend.role != role else {
            if case .role = pending[id] { return try resume(id) }
            return status(of: state, at: .now())
        }
        if let fixedRoles {
            throw DisaggError(
                .conflict,
                "\(id) keeps its role: \(fixedRoles); else remove it, restart it for the other role, add it again")
        }
        var backend = state.backend
        backend.role = role
        if !isForced { try checkNotLast(state) }
        _ = try? pool.drain(id: id)
        pending[id] = .role(backend)
        log("backend changes its role once it is drained", id, ["disagg.role": "\(role.rawValue)"])
        watch(id)
        return status(of: state, at: .now())
    }

    /// Waits until nothing is pending for a backend and, where it is drained, its drain has ended.
    ///
    /// - Returns: its status then, or after the time; nil where it is gone.
    func settled(_ id: String, within time: Duration) async -> BackendStatus? {
        let deadline = ContinuousClock.now + time
        while let state = pool.snapshot.backend(id: id) {
            let now = NIODeadline.now()
            let isDone = pending[id] == nil && (!state.isDraining || state.isDrained(at: now))
            if isDone || ContinuousClock.now >= deadline { return status(of: state, at: now) }
            do { try await Task.sleep(for: Self.drainInterval) } catch { return status(of: state, at: .now()) }
        }
        return nil
    }

    /// Makes a source's backends those that are given: new ones are added, missing ones leave, others stay untouched.
    ///
    /// An engine is known by its role and addresses. So a list that was put in another order changes nothing, and a name
    /// that another engine bears already is replaced by the next free one.
    ///
    /// - Returns: the ids that were added and those that leave.
    @discardableResult
    func apply(_ wanted: [Backend], from source: Source) -> (added: [String], leaving: [String]) {
        var added: [String] = []
        var leaving: [String] = []
        let engines = Set(wanted.map(Self.engine))
        for state in pool.snapshot.all where sources[state.backend.id] == source {
            let id = state.backend.id
            guard pending[id] != .removal, !engines.contains(Self.engine(state.backend)) else { continue }
            // The new ones may be the role's only ones, so the last backend may go too.
            _ = try? pool.drain(id: id)
            pending[id] = .removal
            leaving.append(id)
        }
        var known: [Backend: String] = [:]
        for state in pool.snapshot.all { known[Self.engine(state.backend)] = state.backend.id }
        for var backend in wanted {
            if let id = known[Self.engine(backend)] {
                if pending[id] == .removal {
                    sources[id] = source
                    _ = try? resume(id)
                }
                let events = pool.snapshot.backend(id: id)?.backend.kvEvents
                // Its source says now that its events are elsewhere: it is another member, at once, and serves on.
                guard sources[id] == source, events != backend.kvEvents else { continue }
                leave(id)
            }
            // Another receiver at the same address is another engine: what was there is gone.
            if let former = twin(of: backend), sources[former.id] == source { leave(former.id) }
            backend.id = freeName(for: backend)
            do {
                _ = try add(backend, from: source)
                known[Self.engine(backend)] = backend.id
                added.append(backend.id)
            } catch {
                log("backend was not added", backend.id, ["disagg.error": "\(error.message)"])
            }
        }
        for id in leaving { watch(id) }
        return (added, leaving)
    }

    /// What makes an engine the same as before, whatever it is called and the how-manieth of its group it is.
    private static func engine(_ backend: Backend) -> Backend {
        var engine = backend
        engine.id = ""
        engine.transfer = KVTransferAddress()
        engine.kvEvents = nil
        return engine
    }

    /// A backend of the same role at the same address.
    private func twin(of backend: Backend) -> Backend? {
        pool.snapshot.backends(backend.role).first {
            $0.backend.port == backend.port && $0.backend.host == backend.host
        }?.backend
    }

    private func freeName(for backend: Backend) -> String {
        guard pool.snapshot.backend(id: backend.id) != nil else { return backend.id }
        let taken = Set(pool.snapshot.all.map(\.backend.id))
        return (0...taken.count).lazy.map { backend.role.backendID(replica: $0) }.first { !taken.contains($0) }
            ?? backend.id
    }

    /// Ends the waiting for drains.
    func stop() {
        for watch in watches.values { watch.cancel() }
        watches = [:]
    }

    // MARK: Restarts

    /// How often it is looked whether an engine was restarted.
    private static let restartInterval = Duration.seconds(1)

    /// Marks, until it is cancelled, the LMCache prefill engines that were connected to a decoder which was restarted: they
    /// do not connect again, and no notification comes for what they send. Source: LMCache 0.5.6, NIXL "remote agent
    /// disconnected"; seen with vLLM 0.24.0.
    func watchRestarts() async {
        guard handoff == .lmcache else { return }
        while !Task.isCancelled {
            noteRestarts()
            do { try await Task.sleep(for: Self.restartInterval) } catch { return }
        }
    }

    /// Looks once.
    func noteRestarts() {
        let snapshot = pool.snapshot
        var known: [Int: Int] = [:]
        for state in snapshot.all { known[state.meter.serial] = state.restarts }
        for state in snapshot.prefill where state.restarts > restarts[state.meter.serial] ?? 0 {
            state.needsRestart = false
        }
        for state in snapshot.decode where state.restarts > restarts[state.meter.serial] ?? 0 {
            for prefill in snapshot.prefill where prefill.picked > 0 && !prefill.needsRestart {
                prefill.needsRestart = true
                logger.warning(
                    "a decode engine was restarted; restart the prefill engine that was connected to it",
                    metadata: ["disagg.decode": "\(state.backend.id)", "disagg.prefill": "\(prefill.backend.id)"])
            }
        }
        restarts = known
    }

    // MARK: Draining

    private func watch(_ id: String) {
        watches[id]?.cancel()
        watches[id] = Task { [weak self] in
            while !Task.isCancelled, let self, await !self.finishIfDrained(id) {
                do { try await Task.sleep(for: Self.drainInterval) } catch { return }
            }
        }
    }

    /// Does what was to follow a drain, where it has ended.
    ///
    /// - Returns: whether there is nothing more to wait for.
    private func finishIfDrained(_ id: String) -> Bool {
        guard let what = pending[id], let state = pool.snapshot.backend(id: id) else { return true }
        let now = NIODeadline.now()
        guard state.isDrained(at: now) else { return false }
        switch what {
        case .removal: leave(id)
        case .role(let backend):
            guard (try? pool.setRole(id: id, to: backend, at: now)) != nil else { return false }
            pending[id] = nil
            watches[id] = nil
            log("backend has its new role", id, ["disagg.role": "\(backend.role.rawValue)"])
        }
        return true
    }

    private func leave(_ id: String) {
        _ = try? pool.remove(id: id)
        sources[id] = nil
        pending[id] = nil
        watches.removeValue(forKey: id)?.cancel()
        log("backend removed", id)
    }

    // MARK: Checks

    private func find(_ id: String) throws(DisaggError) -> BackendState {
        guard let state = pool.snapshot.backend(id: id) else {
            let known = pool.snapshot.all.prefix(16).map(\.backend.id).joined(separator: ", ")
            throw DisaggError(.notFound, "there is no backend \"\(id.prefix(64))\"; there are \(known)")
        }
        return state
    }

    private func checkNotLast(_ state: BackendState) throws(DisaggError) {
        let role = state.backend.role
        let others = pool.snapshot.backends(role).filter { $0 !== state && !$0.isDraining }
        guard others.isEmpty, role == .decode || handoff != .none else { return }
        throw DisaggError(
            .conflict,
            "\(state.backend.id) is the last \(role.rawValue) backend that takes requests; add another first, or use force"
        )
    }

    private func checkReceiver(_ backend: Backend) throws(DisaggError) {
        guard handoff == .lmcache, backend.role == .decode, backend.receiver == nil else { return }
        throw DisaggError(
            .badRequest,
            "a decode backend of the lmcache hand-off needs its receiver: {\"init_ports\": [7300], \"alloc_ports\": [7400]}",
            parameter: "receiver")
    }

    private func status(of state: BackendState, at now: NIODeadline) -> BackendStatus {
        let id = state.backend.id
        return BackendStatus(
            state, source: sources[id]?.rawValue, pending: pending[id].map(\.description), at: now)
    }

    private func log(_ message: Logger.Message, _ id: String, _ metadata: Logger.Metadata = [:]) {
        logger.info(message, metadata: metadata.merging(["disagg.backend": "\(id)"]) { first, _ in first })
    }
}
