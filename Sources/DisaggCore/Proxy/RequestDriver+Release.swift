internal import NIOCore

/// Freeing KV that nobody will use.
extension RequestDriver {
    func release() {
        guard let attempt else { return }
        release(attempt, answer)
    }

    func release(_ attempt: HandoffAttempt, _ answer: PrefillAnswer?) {
        guard let leg = handoff.releaseLeg(request, attempt, answer: answer) else { return }
        // LMCache's KV lies at the decoder it was sent to; NIXL's is freed through any decoder.
        let needsSame = machine.rules.release == .throwAwayDecode
        let another = needsSame ? nil : loop.shared.pool.pick(.decode, excluding: triedDecode, at: .now()) ?? decode
        guard let backend = needsSame ? receiver : another else { return }
        loop.metrics.kvEndings[needsSame ? .throwAwayDecode : .rejectedDecode, default: 0] += 1
        loop.release(leg, at: backend, heads: heads)
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
                freesAtDeadline: answer != nil))
    }

    /// Tells the machine when the finished prefill's lease is over.
    func noteLease() {
        guard let deadline = leaseDeadline, loop.upstream.tick >= deadline else { return }
        machine.leaseExpired(decodeIsOut: decodeExchange?.wasSent == true)
        guard machine.isExpired else { return }
        leaseDeadline = nil
        loop.metrics.kvEndings[.lease, default: 0] += 1
    }
}
