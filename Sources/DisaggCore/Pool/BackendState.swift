internal import NIOConcurrencyHelpers
package import NIOCore
internal import Synchronization

/// A backend with what all event loops share about it: its load, its health, its KV.
package final class BackendState: Sendable {
    package let backend: Backend
    /// The address where the host is a literal; names are resolved at each connect.
    package let address: SocketAddress?
    /// The value of the `Host` header.
    package let authority: String
    /// What picks read.
    package let meter: BackendMeter
    private let settings: BackendStateSettings

    private struct Judgement {
        var health: HealthMachine
        var breaker: BreakerMachine
    }
    private let judgement: NIOLockedValueBox<Judgement>
    private let isDown = Atomic<Bool>(false)
    private let picks = Atomic<Int>(0)
    private let sent = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)
    private let overloads = Atomic<Int>(0)
    private let context = Atomic<Int>(0)
    private let handoffs = Atomic<Int>(0)
    private let leaseEnd = Atomic<UInt64>(0)
    private let restart = Atomic<Bool>(false)
    private let restartCount = Atomic<Int>(0)
    private let told = NIOLockedValueBox<EngineFacts?>(nil)

    package init(
        _ backend: Backend, meter: BackendMeter = BackendMeter(serial: 0),
        settings: BackendStateSettings = BackendStateSettings()
    ) {
        self.backend = backend
        self.meter = meter
        self.settings = settings
        authority = backend.authority
        address = try? SocketAddress(ipAddress: backend.host, port: backend.port)
        judgement = NIOLockedValueBox(
            Judgement(
                health: HealthMachine(unhealthyAfter: settings.unhealthyAfter),
                breaker: BreakerMachine(settings.breaker)))
        if settings.maximumInFlight > 0 { meter.limit = settings.maximumInFlight }
    }

    // MARK: Counters

    /// Requests this proxy has open there. Its meter counts those, too, that were chosen for it and not sent yet.
    package var inFlight: Int { sent.load(ordering: .relaxed) }
    /// Requests sent there so far.
    package var picked: Int { picks.load(ordering: .relaxed) }
    /// Failed exchanges so far: refused, broken, timed out or answered with a 5xx but 503.
    package var failed: Int { failures.load(ordering: .relaxed) }
    /// Answers so far that said it has too much to do.
    package var overloaded: Int { overloads.load(ordering: .relaxed) }

    /// The engine's longest sequence in tokens; nil until it told.
    package var contextLength: Int? {
        get {
            let value = context.load(ordering: .relaxed)
            return value > 0 ? value : nil
        }
        set { context.store(newValue ?? 0, ordering: .relaxed) }
    }

    /// What the engine told of itself for the hand-off; nil until it was asked, and where it may have been started anew.
    package var facts: EngineFacts? {
        get { told.withLockedValue { $0 } }
        set { told.withLockedValue { $0 = newValue } }
    }

    /// Counts a request in; every call is paired with ``leave(tokens:)``.
    package func enter(tokens: Int = 0) {
        meter.enter(tokens: tokens)
        sendReserved()
    }

    /// Counts a request out.
    package func leave(tokens: Int = 0) {
        sent.wrappingSubtract(1, ordering: .relaxed)
        meter.leave(tokens: tokens)
    }

    /// Lets picks see a request that was chosen for this backend: until it is sent, or given up by ``cancelReservation(tokens:)``.
    package func reserve(tokens: Int) { meter.enter(tokens: tokens) }

    /// The reserved request was sent; ``leave(tokens:)`` ends it.
    package func sendReserved() {
        picks.wrappingAdd(1, ordering: .relaxed)
        sent.wrappingAdd(1, ordering: .relaxed)
    }

    /// The reserved request will not be sent.
    package func cancelReservation(tokens: Int) { meter.leave(tokens: tokens) }

    // MARK: Judging it

    /// Why the backend is down; nil where it is up.
    package var downCause: HealthMachine.Cause? {
        guard isDown.load(ordering: .relaxed) else { return nil }
        return judgement.withLockedValue { judgement in
            if case .down(let cause) = judgement.health.state { cause } else { nil }
        }
    }

    /// `closed`, `open` or `half-open`.
    package func breakerState(at now: NIODeadline) -> String {
        judgement.withLockedValue { $0.breaker.name(at: now.uptimeNanoseconds) }
    }

    /// Whether the backend may be chosen now.
    package func isAvailable(at now: NIODeadline) -> Bool { meter.isEligible(at: now.uptimeNanoseconds) }

    /// Takes the outcome of a leg that this backend alone is to be judged by.
    package func record(_ outcome: LegOutcome, at now: NIODeadline) {
        switch outcome {
        case .answered: break
        case .overloaded(let retryAfter):
            overloads.wrappingAdd(1, ordering: .relaxed)
            let seconds = UInt64(max(1, min(retryAfter ?? 1, 30)))
            let until = now.uptimeNanoseconds &+ seconds &* 1_000_000_000
            if until > meter.blockedTime { meter.block(until: until) }
            return
        case .fault: failures.wrappingAdd(1, ordering: .relaxed)
        }
        switch judgement.withLockedValue({ $0.breaker.record(outcome, at: now.uptimeNanoseconds) }) {
        case .opened(let until):
            meter.block(until: until)
            meter.beginTrial()
        case .closed:
            meter.endTrial()
            meter.beginRamp(at: now.uptimeNanoseconds, nanoseconds: settings.slowStart.nanoseconds)
        case nil: break
        }
    }

    /// Counts a fault.
    package func recordFailure() { record(.fault, at: .now()) }

    /// Takes the backend out of the choice: its port refused a connection, or could not be reached.
    ///
    /// - Returns: whether it was thought to be up until now.
    package func eject(at now: NIODeadline) -> Bool {
        failures.wrappingAdd(1, ordering: .relaxed)
        // Where nobody checks its health, it must come back by itself.
        if settings.healthInterval == .zero {
            meter.block(until: (now + BackendStateSettings.ejection).uptimeNanoseconds)
        }
        return apply(judgement.withLockedValue { $0.health.refused() }, at: now)
    }

    /// Makes the backend eligible again where it was not: it answered a request.
    ///
    /// - Returns: whether it was thought to be down until now.
    package func readmit() -> Bool {
        guard isDown.load(ordering: .relaxed) else { return false }
        return apply(judgement.withLockedValue { $0.health.answered() }, at: .now())
    }

    /// Takes the result of a health check.
    ///
    /// - Returns: whether the backend went up or down by it.
    package func checked(_ failure: HealthMachine.Cause?, at now: NIODeadline) -> Bool {
        if failure == nil, !isDown.load(ordering: .relaxed) {
            _ = judgement.withLockedValue { $0.health.passed() }
            return false
        }
        return apply(
            judgement.withLockedValue { judgement in
                if let failure { judgement.health.failed(failure) } else { judgement.health.passed() }
            }, at: now)
    }

    private func apply(_ change: HealthMachine.Change?, at now: NIODeadline) -> Bool {
        switch change {
        case .wentDown:
            isDown.store(true, ordering: .relaxed)
            if settings.healthInterval != .zero { meter.block(.down) }
        case .cameUp(let cause):
            isDown.store(false, ordering: .relaxed)
            meter.unblock(.down)
            meter.beginRamp(at: now.uptimeNanoseconds, nanoseconds: settings.slowStart.nanoseconds)
            if cause == .refused { restarted(at: now) }
        case nil: return false
        }
        return true
    }

    /// The engine is another process than before: what it held is gone.
    private func restarted(at now: NIODeadline) {
        // One that nobody has asked yet has only come up late: nobody was connected to it.
        if picked > 0 { restartCount.wrappingAdd(1, ordering: .relaxed) }
        meter.cacheValidSince = now.uptimeNanoseconds
        meter.budget.recover()
        meter.block(until: 0)
        meter.endTrial()
        judgement.withLockedValue { $0.breaker.reset() }
        contextLength = nil
    }

    // MARK: KV it holds for others

    /// Hand-offs of this prefill backend that no decoder has taken yet.
    package var openHandoffs: Int { handoffs.load(ordering: .relaxed) }

    /// A hand-off begins; see ``KVHold``.
    package func handoffBegan() { handoffs.wrappingAdd(1, ordering: .relaxed) }

    /// Its KV was taken or freed, or never came to be.
    package func handoffEnded() { handoffs.wrappingSubtract(1, ordering: .relaxed) }

    /// Its KV was neither taken nor freed: the engine holds it until its lease ends.
    package func handoffLost(leaseEnds: NIODeadline) {
        leaseEnd.max(leaseEnds.uptimeNanoseconds, ordering: .relaxed)
        handoffEnded()
    }

    // MARK: Leaving the pool

    /// Whether it takes no new requests, by somebody's wish.
    package var isDraining: Bool { meter.blocks.contains(.draining) }

    /// Whether it can be stopped without harm: no request is open there, and none of its KV is waited for.
    package func isDrained(at now: NIODeadline) -> Bool {
        isDraining && meter.inFlight == 0 && openHandoffs == 0
            && leaseEnd.load(ordering: .relaxed) <= now.uptimeNanoseconds
    }

    /// How often the engine came back as another process.
    package var restarts: Int { restartCount.load(ordering: .relaxed) }

    /// The engine must be restarted before its hand-offs work again: a decoder it was connected to was restarted.
    package var needsRestart: Bool {
        get { restart.load(ordering: .relaxed) }
        set { restart.store(newValue, ordering: .relaxed) }
    }
}
