internal import NIOCore

/// Freeing KV that nobody will use.
extension RequestDriver {
    func release() {
        guard let attempt else { return }
        release(attempt, answer, takeHold())
    }

    /// Frees an attempt's KV; `hold` is what is given back then.
    func release(_ attempt: HandoffAttempt, _ answer: PrefillAnswer?, _ hold: KVHold?) {
        guard let leg = handoff.releaseLeg(request, attempt, answer: answer) else { return loop.end(hold) }
        // LMCache's KV lies at the decoder it was sent to; NIXL's is freed through any decoder.
        let needsSame = machine.rules.release == .throwAwayDecode
        let another = needsSame ? nil : anotherDecode() ?? decode
        guard let backend = needsSame ? receiver : another else { return loop.end(hold) }
        loop.metrics.kvEndings[needsSame ? .throwAwayDecode : .rejectedDecode] += 1
        loop.release(leg, at: backend, heads: heads, of: hold)
    }

    private func anotherDecode() -> BackendState? {
        var constraints = PickConstraints()
        constraints.triedDecode = triedDecode
        return loop.pick(.decode, for: request, from: origin, constraints)
    }

    /// Hands the notifications that this attempt may still get to the loop, which frees what they announce.
    func expectStrays() {
        guard let receiver, let attempt, let leg = handoff.releaseLeg(request, attempt, answer: answer) else { return }
        loop.expectStrays(
            attempt.id,
            StrayNotices(
                leg: leg, backend: receiver, heads: heads, known: noticeConnections,
                expected: machine.rules.expectedNotices,
                deadline: loop.upstream.tick + LoopContext.ticks(settings.notificationTimeout * Self.lateNotice),
                freesAtDeadline: answer != nil, hold: takeHold()))
    }

    /// Tells the machine when the finished prefill's lease is over.
    func noteLease() {
        guard let deadline = leaseDeadline, loop.upstream.tick >= deadline else { return }
        machine.leaseExpired(decodeIsOut: decodeExchange?.wasSent == true)
        guard machine.isExpired else { return }
        leaseDeadline = nil
        loop.metrics.kvEndings[.lease] += 1
        endHold()
    }
}
