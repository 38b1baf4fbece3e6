/// Runs one request's hand-off without touching a socket: inputs are what happened, outputs are what to do.
///
/// The state is the product of four small dimensions: the prefill leg, the decode leg, the client and the
/// notifications still due. Every protocol is the same machine under other ``HandoffRules``.
///
/// | client leaves while | prefill may be cancelled | prefill must not be cancelled |
/// |---|---|---|
/// | the prefill runs | cancel it, and the decode that waits for it | let it end, then release |
/// | notifications are due | release | wait for them, then release |
/// | the decode was sent | cancel it | cancel once its first byte came |
///
/// A failed leg is retried with what that leg alone needs, and only before the first byte reached the client. Where both
/// legs are in flight, the failure of one aborts the other and a retry is a new pair with fresh ids; but a decoder that
/// answers the client already is not disturbed by a prefill engine that fails behind it. After
/// ``HandoffActions/finish`` every input is ignored.
package struct HandoffMachine: ~Copyable {
    /// How far a leg is.
    package enum Leg: Sendable { case notStarted, sent, head, done, failed }
    /// What the client has got.
    package enum Client: Sendable { case waiting, headSent, answered, gone }
    /// How a prefill's answer is to be taken.
    package enum PrefillAnswer: Sendable {
        /// The KV is ready or on its way.
        case ready
        /// The answer is complete: its first token was its last.
        case complete
        /// The first token cannot be shown; the decoder alone must answer.
        case unusable
        /// The engine refused the request: 4xx but 429.
        case rejected
        /// The engine failed: 429 or 5xx.
        case failed
    }
    /// How a leg failed.
    package enum Failure: Sendable {
        /// Nothing was sent.
        case connect
        /// It was sent; the connection ended before the answer's end.
        case broken
        /// It was sent; no answer in time.
        case timeout
        /// It was sent; the engine has not answered and fails its health checks.
        case silent
    }

    package let rules: HandoffRules
    package internal(set) var prefill = Leg.notStarted
    package internal(set) var decode = Leg.notStarted
    package internal(set) var client = Client.waiting
    package internal(set) var noticesLeft = 0
    /// Attempts that may still be made after the present one.
    package internal(set) var retriesLeft: Int
    package internal(set) var isFinished = false
    /// KV is on its way or at the decoder, and nobody has been asked to use or free it.
    package internal(set) var owesRelease = false
    var awaitsNotices = false
    /// The decode in flight, or to be tried again, is to use the prefill's KV.
    var handsOff = false
    /// The decoder's answer has begun and is held back until the prefill's is known.
    var isHeld = false
    /// The finished prefill's KV outlived its lease: it must not be used, and needs no release.
    var isExpired = false
    var afterNotices = HandoffActions()

    /// Whether a leg may still be opened or released, so that the request's body is needed.
    package var needsRequest: Bool {
        prefill == .sent || owesRelease || awaitsNotices || decode == .notStarted || decode == .sent
    }

    /// Creates a machine.
    ///
    /// - Parameter retries: how many times a leg or a pair may be tried again, 0 or more.
    package init(rules: HandoffRules, retries: Int) {
        self.rules = rules
        retriesLeft = retries
    }

    // MARK: The beginning of an attempt

    /// Begins. `alone` sends the request to a decoder without a prefill.
    package mutating func start(alone: Bool) -> HandoffActions {
        guard !isFinished, prefill == .notStarted, decode == .notStarted else { return [] }
        return begin(alone: alone)
    }

    /// A retry's new pair was chosen, or no partner was found and the decoder serves alone.
    package mutating func restart(alone: Bool) -> HandoffActions {
        guard !isFinished, prefill == .notStarted, decode == .notStarted else { return [] }
        guard client == .waiting else { return settle() }
        return alone ? fallBack() : begin(alone: false)
    }

    /// A retry found nobody to try.
    package mutating func noBackend() -> HandoffActions {
        guard !isFinished else { return [] }
        return giveUp()
    }

    private mutating func begin(alone: Bool) -> HandoffActions {
        isExpired = false
        guard !alone else { return serveAlone() }
        switch rules.dispatch {
        case .sequential:
            handsOff = false
            prefill = .sent
            noticesLeft = rules.expectedNotices
            return .openPrefill
        case .concurrent:
            handsOff = true
            prefill = .sent
            decode = .sent
            return [.openPrefill, .openDecode]
        case .decodeFirst, .delegated:
            handsOff = true
            decode = .sent
            return .openDecode
        }
    }

    /// The decoder computes the prompt itself, where it can do so at all.
    mutating func serveAlone() -> HandoffActions {
        guard rules.decoderServesAlone else { return giveUp() }
        handsOff = false
        decode = .sent
        return .openDecodeAlone
    }

    /// No prefill engine did its part: the decoder serves alone, unless it cannot or the deployment forbids it.
    mutating func fallBack() -> HandoffActions { rules.fallsBack ? serveAlone() : giveUp() }

    /// The decode goes out with what the finished prefill left; after the lease a new pair is needed.
    mutating func handOver() -> HandoffActions {
        guard isExpired else {
            decode = .sent
            handsOff = true
            owesRelease = false
            return .openDecode
        }
        guard client == .waiting else { return giveUp() }
        guard retriesLeft > 0 else { return fallBack() }
        retriesLeft -= 1
        prefill = .notStarted
        return .retryPair
    }

    // MARK: Time

    /// The finished prefill's lease ended.
    ///
    /// - Parameter decodeIsOut: whether a decode with the KV went out on a connection; it keeps the lease alive itself.
    package mutating func leaseExpired(decodeIsOut: Bool) {
        let isUsed = handsOff && (decodeIsOut || decode == .head || decode == .done)
        guard !isFinished, prefill == .done, !isUsed else { return }
        isExpired = true
        owesRelease = false
    }

    // MARK: The end

    mutating func releaseIfOwed() -> HandoffActions {
        guard owesRelease, noticesLeft == 0 else { return [] }
        owesRelease = false
        return rules.release == .nothing ? [] : .release
    }

    mutating func giveUp() -> HandoffActions {
        let freed = releaseIfOwed()
        return [freed, breakOrSettle()].merged
    }

    mutating func breakOrSettle() -> HandoffActions {
        switch client {
        case .waiting:
            client = .answered
            return [.fail, settle()].merged
        case .headSent:
            client = .answered
            return [.breakStream, settle()].merged
        case .answered, .gone: return settle()
        }
    }

    mutating func settle() -> HandoffActions {
        guard client == .answered || client == .gone else { return [] }
        guard prefill != .sent, decode != .sent, decode != .head else { return [] }
        guard !awaitsNotices else { return [] }
        isFinished = true
        return [releaseIfOwed(), .finish].merged
    }
}
