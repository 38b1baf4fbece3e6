/// What to do next, as the machine sees it. Empty means: wait for the next input.
package struct HandoffActions: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Send the prefill.
    package static let openPrefill = Self(rawValue: 1 << 0)
    /// Close the prefill's connection.
    package static let cancelPrefill = Self(rawValue: 1 << 1)
    /// Start waiting for notifications against their deadline.
    package static let awaitNotices = Self(rawValue: 1 << 2)
    /// Send the decode with what the prefill left.
    package static let openDecode = Self(rawValue: 1 << 3)
    /// Send the request to the decoder alone.
    package static let openDecodeAlone = Self(rawValue: 1 << 4)
    /// Close the decode's connection.
    package static let cancelDecode = Self(rawValue: 1 << 5)
    /// Free what the prefill left behind.
    package static let release = Self(rawValue: 1 << 6)
    /// Choose another decoder, then send the decode again.
    package static let retryDecode = Self(rawValue: 1 << 7)
    /// Choose another pair, draw a fresh id, then start again.
    package static let retryPair = Self(rawValue: 1 << 8)
    /// Relay the decoder's answer from its head on.
    package static let relayDecode = Self(rawValue: 1 << 9)
    /// Answer the client with the prefill's answer.
    package static let answerFromPrefill = Self(rawValue: 1 << 10)
    /// Answer the client with an error; nothing was sent to it yet.
    package static let fail = Self(rawValue: 1 << 11)
    /// End a stream that has begun with an error event.
    package static let breakStream = Self(rawValue: 1 << 12)
    /// The request is over; no leg is open.
    package static let finish = Self(rawValue: 1 << 13)
    /// Notifications of this attempt that still come announce KV nobody will use: free it then.
    package static let expectStrays = Self(rawValue: 1 << 14)
}

/// Runs one request's hand-off without touching a socket: inputs are what happened, outputs are what to do.
///
/// The state is the product of four small dimensions: the prefill leg, the decode leg, the client and the
/// notifications still due. Every protocol is the same machine under other ``HandoffRules``.
///
/// | client leaves while | prefill may be cancelled | prefill must not be cancelled |
/// |---|---|---|
/// | the prefill runs | cancel it | let it end, then release |
/// | notifications are due | release | wait for them, then release |
/// | the decode was sent | cancel it | cancel once its first byte came |
///
/// A failed leg is retried with what that leg alone needs, and only before the first byte reached the client.
/// After ``HandoffActions/finish`` every input is ignored.
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
    }

    package let rules: HandoffRules
    package private(set) var prefill = Leg.notStarted
    package private(set) var decode = Leg.notStarted
    package private(set) var client = Client.waiting
    package private(set) var noticesLeft = 0
    /// Attempts that may still be made after the present one.
    package private(set) var retriesLeft: Int
    package private(set) var isFinished = false
    /// KV is on its way or at the decoder, and nobody has been asked to use or free it.
    package private(set) var owesRelease = false
    private var awaitsNotices = false
    /// Whether a leg may still be opened or released, so that the request's body is needed.
    package var needsRequest: Bool {
        prefill == .sent || owesRelease || awaitsNotices || decode == .notStarted || decode == .sent
    }
    /// The decode in flight, or to be tried again, is to use the prefill's KV.
    private var handsOff = false
    private var afterNotices = HandoffActions()

    /// Creates a machine.
    ///
    /// - Parameter retries: how many times a leg or a pair may be tried again, 0 or more.
    package init(rules: HandoffRules, retries: Int) {
        self.rules = rules
        retriesLeft = retries
    }

    /// Begins. `alone` sends the request to a decoder without a prefill.
    package mutating func start(alone: Bool) -> HandoffActions {
        guard !isFinished, prefill == .notStarted, decode == .notStarted else { return [] }
        return begin(alone: alone)
    }

    private mutating func begin(alone: Bool) -> HandoffActions {
        handsOff = false
        if alone {
            decode = .sent
            return .openDecodeAlone
        }
        prefill = .sent
        noticesLeft = rules.expectedNotices
        return .openPrefill
    }

    /// A retry's new pair was chosen, or no partner was found and the decoder serves alone.
    package mutating func restart(alone: Bool) -> HandoffActions {
        guard !isFinished, prefill == .notStarted, decode == .notStarted else { return [] }
        guard client == .waiting else { return settle() }
        return begin(alone: alone)
    }

    /// A retry found nobody to try.
    package mutating func noBackend() -> HandoffActions {
        guard !isFinished else { return [] }
        return giveUp()
    }

    // MARK: Prefill

    /// The prefill's answer is complete.
    package mutating func prefillAnswered(_ answer: PrefillAnswer) -> HandoffActions {
        guard !isFinished, prefill == .sent else { return [] }
        switch answer {
        case .rejected:
            prefill = .failed
            noticesLeft = 0
            guard client == .waiting else { return settle() }
            // The decoder judges the client's own request: this engine's error is about the limits we set.
            decode = .sent
            return .openDecodeAlone
        case .failed:
            return prefillEndedBadly(sent: true)
        case .ready, .complete, .unusable:
            prefill = .done
            owesRelease = rules.release != .nothing
            switch answer {
            case .ready where client == .waiting: return whenNoticed([.openDecode])
            case .ready where client == .headSent: return whenNoticed([.openDecode])
            case .complete where client != .gone && client != .answered:
                client = .answered
                return [.answerFromPrefill, whenNoticed(releaseIfOwed())].merged
            case .unusable where client == .waiting:
                // The decoder's own prefill needs no notification; the KV that was sent is freed when it has arrived.
                decode = .sent
                return [.openDecodeAlone, whenNoticed(releaseIfOwed())].merged
            default: return whenNoticed(releaseIfOwed())
            }
        }
    }

    /// The prefill failed without a usable answer.
    package mutating func prefillFailed(_ failure: Failure) -> HandoffActions {
        guard !isFinished, prefill == .sent else { return [] }
        switch failure {
        case .connect: return prefillEndedBadly(sent: false)
        case .broken: return prefillEndedBadly(sent: true)
        case .timeout:
            if rules.prefillMayBeCancelled {
                prefill = .failed
                return [.cancelPrefill, giveUp()].merged
            }
            // It must run to its end; the client need not wait for it.
            guard client == .waiting else { return [] }
            client = .answered
            return .fail
        }
    }

    private mutating func prefillEndedBadly(sent: Bool) -> HandoffActions {
        prefill = .failed
        // All notifications came: the KV stands at the decoder although the answer did not come.
        let arrived = sent && rules.expectedNotices > 0 && noticesLeft == 0
        owesRelease = arrived && rules.release == .throwAwayDecode
        let freed = [releaseIfOwed(), sent ? strays() : []].merged
        noticesLeft = 0
        guard client == .waiting else { return [freed, settle()].merged }
        guard !sent || retriesLeft > 0 else {
            // Slower, and always right: the decoder computes the prompt itself.
            decode = .sent
            return [freed, .openDecodeAlone].merged
        }
        // A refused connection cost nothing; who refused is not asked again.
        if sent { retriesLeft -= 1 }
        prefill = .notStarted
        return [freed, .retryPair].merged
    }

    // MARK: Notifications

    /// One notification of this attempt arrived.
    package mutating func noticeArrived() -> HandoffActions {
        guard !isFinished, noticesLeft > 0 else { return [] }
        noticesLeft -= 1
        guard noticesLeft == 0, awaitsNotices else { return [] }
        return proceedAfterNotices()
    }

    /// The notifications' deadline passed: the request goes on, and one that still comes finds nobody to use its KV.
    package mutating func noticesTimedOut() -> HandoffActions {
        guard !isFinished, awaitsNotices, noticesLeft > 0 else { return [] }
        let strays = strays()
        noticesLeft = 0
        return [strays, proceedAfterNotices()].merged
    }

    /// An attempt ends with notifications due: what they announce later must be freed too.
    private func strays() -> HandoffActions {
        rules.release == .throwAwayDecode && noticesLeft > 0 ? .expectStrays : []
    }

    private mutating func whenNoticed(_ actions: HandoffActions) -> HandoffActions {
        afterNotices = actions
        guard noticesLeft > 0 else { return proceedAfterNotices() }
        awaitsNotices = true
        return .awaitNotices
    }

    private mutating func proceedAfterNotices() -> HandoffActions {
        awaitsNotices = false
        var actions = afterNotices
        afterNotices = []
        if actions.contains(.openDecode) {
            if client == .gone {
                actions = releaseIfOwed()
            } else {
                decode = .sent
                handsOff = true
                owesRelease = false
            }
        } else if owesRelease {
            actions.formUnion(releaseIfOwed())
        }
        return [actions, settle()].merged
    }

    private mutating func releaseIfOwed() -> HandoffActions {
        guard owesRelease, noticesLeft == 0 else { return [] }
        owesRelease = false
        return rules.release == .nothing ? [] : .release
    }

    // MARK: Decode

    /// The decoder's answer began.
    ///
    /// - Parameters:
    ///   - handedOff: whether this decode was to use a prefill's KV.
    ///   - mayRetry: whether there is a decoder that was not tried; the only one's refusal is the client's answer.
    package mutating func decodeHead(status: Int, handedOff: Bool, mayRetry: Bool = true) -> HandoffActions {
        guard !isFinished, decode == .sent else { return [] }
        if status >= 500 || status == 429 {
            return decodeRefused(handedOff: handedOff, mayRetry: mayRetry)
        }
        decode = .head
        // A rejected request uses no KV. A NIXL decoder tells the prefill engine itself.
        if status >= 400, handedOff, rules.release == .throwAwayDecode { owesRelease = true }
        switch client {
        case .gone, .answered:
            decode = .done
            return [.cancelDecode, releaseIfOwed(), settle()].merged
        case .waiting:
            client = .headSent
            return [.relayDecode, releaseIfOwed()].merged
        case .headSent:
            return [.relayDecode, releaseIfOwed()].merged
        }
    }

    private mutating func decodeRefused(handedOff: Bool, mayRetry: Bool) -> HandoffActions {
        decode = .head
        // It may not have looked at the KV. A release of what was read already is harmless.
        if handedOff, rules.release != .nothing { owesRelease = true }
        let freed = releaseIfOwed()
        guard client == .waiting, retriesLeft > 0, mayRetry else {
            if client == .waiting {
                client = .headSent
                return [freed, .relayDecode].merged
            }
            decode = .failed
            return [freed, .cancelDecode, breakOrSettle()].merged
        }
        retriesLeft -= 1
        decode = .notStarted
        if !handedOff || rules.decodeMayBeRepeated { return [freed, .cancelDecode, .retryDecode].merged }
        prefill = .notStarted
        return [freed, .cancelDecode, .retryPair].merged
    }

    /// The decoder's answer is complete.
    package mutating func decodeEnded() -> HandoffActions {
        guard !isFinished, decode == .head else { return [] }
        decode = .done
        if client == .headSent { client = .answered }
        return settle()
    }

    /// The decode failed.
    package mutating func decodeFailed(_ failure: Failure, handedOff: Bool) -> HandoffActions {
        guard !isFinished, decode == .sent || decode == .head else { return [] }
        let hadHead = decode == .head
        let cancel: HandoffActions = failure == .timeout ? .cancelDecode : []
        decode = .failed
        // Nothing tells whether it read the KV: it may live and hold it, or be dead and the prefill engine hold it.
        if handedOff, !hadHead, rules.release != .nothing { owesRelease = true }
        guard client == .waiting, !hadHead, failure != .timeout, failure == .connect || retriesLeft > 0 else {
            return [cancel, releaseIfOwed(), breakOrSettle()].merged
        }
        // A refused connection cost nothing; who refused is not asked again.
        if failure != .connect { retriesLeft -= 1 }
        decode = .notStarted
        if !handedOff || rules.decodeMayBeRepeated || (failure == .connect && rules.prefillOutlivesDecoder) {
            // The same finished prefill serves the next decoder.
            return .retryDecode
        }
        prefill = .notStarted
        return [releaseIfOwed(), .retryPair].merged
    }

    /// A retried decode's new decoder was chosen.
    package mutating func decodeRestarted() -> HandoffActions {
        guard !isFinished, decode == .notStarted else { return [] }
        // The client left while the decoder was chosen; only notifications are waited for.
        guard client == .waiting || client == .headSent else { return [releaseIfOwed(), settle()].merged }
        decode = .sent
        guard handsOff else { return .openDecodeAlone }
        owesRelease = false
        return .openDecode
    }

    // MARK: Client

    /// The first token went to the client ahead of the decoder's answer.
    package mutating func headWasSent() {
        if client == .waiting { client = .headSent }
    }

    /// The client left.
    package mutating func clientGone() -> HandoffActions {
        guard !isFinished, client == .waiting || client == .headSent else { return [] }
        client = .gone
        var actions = HandoffActions()
        if prefill == .sent, rules.prefillMayBeCancelled {
            prefill = .failed
            actions.insert(.cancelPrefill)
        }
        switch decode {
        case .head:
            decode = .failed
            actions.insert(.cancelDecode)
        case .sent where rules.decodeMayBeCancelledBeforeHead || prefill != .done:
            decode = .failed
            actions.insert(.cancelDecode)
        default: break
        }
        return [actions, settle()].merged
    }

    // MARK: The end

    private mutating func giveUp() -> HandoffActions {
        let freed = releaseIfOwed()
        return [freed, breakOrSettle()].merged
    }

    private mutating func breakOrSettle() -> HandoffActions {
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

    private mutating func settle() -> HandoffActions {
        guard client == .answered || client == .gone else { return [] }
        guard prefill != .sent, decode != .sent, decode != .head else { return [] }
        guard !awaitsNotices else { return [] }
        isFinished = true
        return [releaseIfOwed(), .finish].merged
    }
}

extension [HandoffActions] {
    /// The union of all.
    fileprivate var merged: HandoffActions { reduce(into: []) { $0.formUnion($1) } }
}
