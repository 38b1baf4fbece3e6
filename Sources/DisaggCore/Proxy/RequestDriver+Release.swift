internal import NIOCore

/// Freeing KV that nobody will use.
extension RequestDriver {
    func release() {
        guard let attempt else { return }
        release(attempt, answer, takeHold())
    }

    /// Frees an attempt's KV; `hold` is what is given back then.
    func release(_ attempt: HandoffAttempt, _ answer: PrefillAnswer?, _ hold: KVHold?) {
        kvIsOpen = false
        guard let leg = handoff.releaseLeg(request, attempt, answer: answer) else { return loop.end(hold) }
        guard let backend = releasingDecode else { return loop.lose(hold) }
        let release = makeRelease(leg, at: backend, hold)
        guard let left = leftDecode else { return loop.release(release) }
        leftDecode = nil
        loop.release(release, after: left)
    }

    /// The decoder that is asked to free KV.
    ///
    /// LMCache's KV lies at the decoder it was sent to. NIXL's is freed through any decoder: one that was sent the request
    /// and then left comes first, since it may read the KV already.
    private var releasingDecode: BackendState? {
        if machine.rules.release == .throwAwayDecode { return receiver }
        return leftDecode == nil ? anotherDecode() ?? decode : decode
    }

    private func makeRelease(_ leg: LegRequest, at backend: BackendState, _ hold: KVHold?) -> KVRelease {
        let isDecode = machine.rules.release == .throwAwayDecode
        return KVRelease(
            leg: leg, backend: backend, heads: heads, ending: isDecode ? .throwAwayDecode : .rejectedDecode, hold: hold)
    }

    private func anotherDecode() -> BackendState? {
        var constraints = PickConstraints()
        constraints.triedDecode = triedDecode
        return loop.pick(.decode, for: request, from: origin, constraints)
    }

    /// Hands the notifications that this attempt may still get to the loop, which frees what they announce.
    func expectStrays() {
        guard let receiver, let attempt,
            let leg = handoff.releaseLeg(request, attempt, answer: answer)
        else { return }
        kvIsOpen = false
        loop.expectStrays(
            attempt.id,
            StrayNotices(
                release: makeRelease(leg, at: receiver, takeHold()), known: noticeConnections,
                expected: machine.rules.expectedNotices,
                deadline: loop.upstream.tick + LoopContext.ticks(settings.notificationTimeout * Self.lateNotice),
                freesAtDeadline: answer != nil))
    }

    /// What became of the present attempt's KV; the first word counts.
    func endKV(_ ending: ReleaseReason) {
        guard kvIsOpen else { return }
        kvIsOpen = false
        loop.metrics.count(ending)
    }

    /// Tells the machine when the finished prefill's lease is over.
    func noteLease() {
        guard let deadline = leaseDeadline, loop.upstream.tick >= deadline else { return }
        machine.leaseExpired(decodeIsOut: decodeExchange?.wasSent == true)
        guard machine.isExpired else { return }
        leaseDeadline = nil
        endKV(.lease)
        endHold()
    }
}
