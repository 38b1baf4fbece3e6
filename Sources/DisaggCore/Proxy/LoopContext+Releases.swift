internal import NIOCore

/// Sends the requests whose only purpose is to free KV, and waits for cancelled ones to end.
extension LoopContext {
    /// Tries to free KV before it is given up, over a minute: LMCache's buffer keeps for ever what nobody retrieves.
    private static let releaseTries = 18
    /// Pause before the second try; each one after it is twice as long, up to 64 times this.
    private static let releasePause = TimeAmount.milliseconds(75)
    /// Releases under way beyond which a refused one is not tried again.
    private static let maximumReleases = 4096
    /// How long a decoder may take to reject a request, which needs no engine step, before another one is asked.
    private static let rejectionTimeout = Duration.seconds(5)
    /// How long a cancelled exchange may take to end before its connection is closed for good.
    private static let leaveTimeout = TimeAmount.seconds(5)
    /// How long a decoder may take to see that its client left, before KV is released through another one.
    private static let leftDecodeTimeout = TimeAmount.seconds(1)

    /// Sends a release, again where the engine refuses it or breaks; what became of the KV is counted at its end.
    func release(_ release: KVRelease) {
        metrics.releases += 1
        releasesUnderWay += 1
        tryRelease(release, number: 1)
    }

    /// Leaves a decode that may be about to read the KV, and releases what it did not.
    func release(_ release: KVRelease, after left: DecodeExchange) {
        releasesUnderWay += 1
        left.leave { [self] end in
            releasesUnderWay -= 1
            switch end {
            case .answered:
                metrics.count(.consumed)
                self.end(release.hold)
            case .closed: self.release(release)
            case .silent:
                var release = release
                release.backend = another(than: release.backend)
                self.release(release)
            }
        }
        reactor.assumeIsolated().scheduleTask(in: Self.leftDecodeTimeout) { left.giveUp() }
    }

    /// The KV was used or freed.
    func end(_ hold: KVHold?) {
        hold?.end()
        shared.admission.roomFreed()
    }

    /// Nobody could free the KV.
    func lose(_ hold: KVHold?) {
        metrics.count(.abandoned)
        hold?.lose(leaseEnds: .now() + TimeAmount(shared.handoff.rules.lease ?? .seconds(30)))
    }

    private func tryRelease(_ release: KVRelease, number: Int) {
        let backend = release.backend
        let patience = shared.deployment.proxy.decodeIdleTimeout
        backend.enter()
        let exchange = CollectingExchange(
            timeout: release.needsSame ? patience : min(patience, Self.rejectionTimeout), on: reactor
        ) { [self] result in
            backend.leave()
            if case .success(let answer) = result, answer.head.status < 500, answer.head.status != 429 {
                releasesUnderWay -= 1
                metrics.count(release.ending)
                return end(release.hold)
            }
            var isGone = false
            if case .failure(.connect) = result { isGone = true }
            tryAgain(release, isGone: isGone, number: number)
        }
        upstream.send(
            head: release.heads.head(of: release.leg, to: backend), body: release.leg.body, to: backend,
            fresh: number > 1, for: exchange)
    }

    private func tryAgain(_ failed: KVRelease, isGone: Bool, number: Int) {
        // A decoder that is gone took the KV it held along.
        let tries = isGone && failed.needsSame ? 2 : Self.releaseTries
        guard number < tries, releasesUnderWay <= Self.maximumReleases, !upstream.isShutDown else {
            metrics.releasesFailed += 1
            releasesUnderWay -= 1
            guard isGone, failed.needsSame else { return lose(failed.hold) }
            metrics.count(.abandoned)
            return end(failed.hold)
        }
        var release = failed
        // KV that a prefill engine holds is freed through any decoder: not again through the one that failed.
        if !release.needsSame { release.backend = another(than: failed.backend) }
        let next = release
        let pause = TimeAmount.nanoseconds(Self.releasePause.nanoseconds << Int64(min(number - 1, 6)))
        reactor.assumeIsolated().scheduleTask(in: pause) { [self] in tryRelease(next, number: number + 1) }
    }

    private func another(than failed: BackendState) -> BackendState {
        let others = shared.pool.decode.filter { $0 !== failed }
        let now = NIODeadline.now()
        return others.filter { $0.isAvailable(at: now) }.randomElement(using: &generator)
            ?? others.randomElement(using: &generator) ?? failed
    }

    /// Waits for the end of an exchange that was left; ``left()`` is called at its end.
    func awaitEnd(of exchange: CollectingExchange) {
        releasesUnderWay += 1
        reactor.assumeIsolated().scheduleTask(in: Self.leaveTimeout) { [weak exchange] in exchange?.giveUp() }
    }

    func left() { releasesUnderWay -= 1 }
}
