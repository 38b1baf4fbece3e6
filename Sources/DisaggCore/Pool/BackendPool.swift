internal import NIOConcurrencyHelpers
package import NIOCore
internal import Synchronization

/// The backends of a deployment and the policies that choose among them.
///
/// The membership is a snapshot that is replaced as a whole: picks take the present one, changes are serialised.
package final class BackendPool: Sendable {
    private struct Membership {
        var snapshot: PoolSnapshot
        var nextSerial = 0
    }

    package let policies: PolicySet
    package let routing: RoutingSettings
    /// KV chunks each decoder has room for; nil where nothing bounds them.
    package let decodeChunks: Int?
    private let membership: NIOLockedValueBox<Membership>
    /// ``PoolSnapshot/generation`` of the members now.
    private let generation = Atomic<Int>(0)
    private let totals: [BackendRole: RoleTotals] = [.prefill: RoleTotals(), .decode: RoleTotals()]

    package init(
        prefill: [Backend], decode: [Backend], routing: RoutingSettings = RoutingSettings(), decodeChunks: Int? = nil,
        policies: PolicySet? = nil
    ) {
        self.routing = routing
        self.decodeChunks = decodeChunks
        self.policies = policies ?? PolicySet(routing)
        membership = NIOLockedValueBox(
            Membership(snapshot: PoolSnapshot(generation: 0, prefill: [], decode: [])))
        for backend in prefill + decode { _ = try? add(backend) }
    }

    // MARK: Membership

    /// The members now.
    package var snapshot: PoolSnapshot { membership.withLockedValue { $0.snapshot } }
    /// Brings a snapshot up to date; takes the lock only where the members changed.
    package func refresh(_ snapshot: inout PoolSnapshot) {
        if generation.load(ordering: .acquiring) != snapshot.generation { snapshot = self.snapshot }
    }
    /// The prefill backends now.
    package var prefill: [BackendState] { snapshot.prefill }
    /// The decode backends now.
    package var decode: [BackendState] { snapshot.decode }

    /// Adds a backend; it is chosen from the next pick on.
    ///
    /// - Parameter group: its topology group; by the settings of its role where nil.
    /// - Throws: ``PoolError`` where the id is taken.
    @discardableResult
    package func add(_ backend: Backend, weight: Double = 1, group: Int? = nil) throws(PoolError) -> BackendState {
        try change { membership throws(PoolError) in
            try self.insert(backend, weight: weight, group: group, into: &membership)
        }
    }

    /// Takes a backend out at once. Requests that are open there go on; drain it first to lose no KV.
    ///
    /// - Throws: ``PoolError`` where there is no such backend.
    @discardableResult
    package func remove(id: String) throws(PoolError) -> BackendState {
        try change { membership throws(PoolError) in try Self.take(id, from: &membership) }
    }

    /// Lets a backend end what it has and gives it nothing new; ``BackendState/isDrained(at:)`` tells when it is done.
    @discardableResult
    package func drain(id: String) throws(PoolError) -> BackendState {
        let state = try find(id)
        state.meter.block(.draining)
        return state
    }

    /// Takes a drain back.
    @discardableResult
    package func resume(id: String) throws(PoolError) -> BackendState {
        let state = try find(id)
        state.meter.unblock(.draining)
        return state
    }

    /// Sets a backend's share: 1 is full, 0.5 half of what an equal one gets.
    ///
    /// - Parameter weight: 0...1; 0 leaves it almost without requests. Drain it where none may come.
    @discardableResult
    package func setWeight(id: String, to weight: Double) throws(PoolError) -> BackendState {
        let state = try find(id)
        state.meter.baseWeight = weight
        return state
    }

    /// Gives a drained backend the other role: a new member under `backend.id` takes its place.
    ///
    /// - Parameters:
    ///   - id: the member that changes.
    ///   - backend: what it is from now on; its role is the new one.
    /// - Throws: ``PoolError`` where it is not drained, so that no KV is lost.
    @discardableResult
    package func setRole(id: String, to backend: Backend, at now: NIODeadline) throws(PoolError) -> BackendState {
        try change { membership throws(PoolError) in
            guard let old = membership.snapshot.backend(id: id) else { throw .unknown(id) }
            guard old.isDrained(at: now) else { throw .notDrained(id) }
            _ = try Self.take(id, from: &membership)
            return try self.insert(backend, weight: 1, group: nil, into: &membership)
        }
    }

    private func find(_ id: String) throws(PoolError) -> BackendState {
        guard let state = snapshot.backend(id: id) else { throw .unknown(id) }
        return state
    }

    private func change<Value>(
        _ body: (inout Membership) throws(PoolError) -> Value
    ) throws(PoolError) -> Value {
        let result: Result<Value, PoolError> = membership.withLockedValue { membership in
            defer { generation.store(membership.snapshot.generation, ordering: .releasing) }
            do throws(PoolError) { return .success(try body(&membership)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func insert(
        _ backend: Backend, weight: Double, group: Int?, into membership: inout Membership
    ) throws(PoolError) -> BackendState {
        let old = membership.snapshot
        guard old.backend(id: backend.id) == nil else { throw .duplicate(backend.id) }
        let groups = routing[backend.role].groups
        let place = old.backends(backend.role).count
        let meter = BackendMeter(
            serial: membership.nextSerial, group: group ?? (groups.indices.contains(place) ? groups[place] : 0),
            totals: totals[backend.role] ?? RoleTotals(),
            budget: ChunkBudget(capacity: backend.role == .decode ? decodeChunks : nil))
        meter.baseWeight = weight
        let state = BackendState(
            backend, meter: meter, settings: BackendStateSettings(routing, role: backend.role))
        membership.nextSerial += 1
        membership.snapshot = PoolSnapshot(
            generation: old.generation + 1, prefill: old.prefill + (backend.role == .prefill ? [state] : []),
            decode: old.decode + (backend.role == .decode ? [state] : []))
        return state
    }

    private static func take(_ id: String, from membership: inout Membership) throws(PoolError) -> BackendState {
        let old = membership.snapshot
        guard let state = old.backend(id: id) else { throw .unknown(id) }
        // Held by requests alone from now on; whoever still has the old snapshot must not choose it.
        state.meter.block(.draining)
        membership.snapshot = PoolSnapshot(
            generation: old.generation + 1, prefill: old.prefill.filter { $0 !== state },
            decode: old.decode.filter { $0 !== state })
        return state
    }
}
