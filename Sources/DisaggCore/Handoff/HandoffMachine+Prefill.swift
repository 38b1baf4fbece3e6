/// The prefill leg's inputs, and the notifications that follow it.
extension HandoffMachine {
    /// The prefill's answer is complete.
    package mutating func prefillAnswered(_ answer: PrefillAnswer) -> HandoffActions {
        guard !isFinished, prefill == .sent else { return [] }
        switch answer {
        case .rejected: return prefillRejected()
        case .failed: return prefillEndedBadly(sent: true)
        case .ready, .complete, .unusable:
            prefill = .done
            guard rules.dispatch == .sequential else { return prefillDoneBesideDecode() }
            owesRelease = rules.release != .nothing
            switch answer {
            case .ready where client == .waiting || client == .headSent: return whenNoticed(.openDecode)
            case .complete where client != .gone && client != .answered:
                client = .answered
                return [.answerFromPrefill, whenNoticed(releaseIfOwed())].merged
            case .unusable where client == .waiting && rules.decoderServesAlone:
                // The decoder's own prefill needs no notification; the KV that was sent is freed when it has arrived.
                return [serveAlone(), whenNoticed(releaseIfOwed())].merged
            case .unusable where client == .waiting:
                client = .answered
                return [.fail, whenNoticed(releaseIfOwed())].merged
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
        case .silent where rules.prefillMayBeCancelled:
            guard decodeAnswers else { return [.cancelPrefill, prefillEndedBadly(sent: true)].merged }
            prefill = .failed
            return [.cancelPrefill, settle()].merged
        case .timeout, .silent:
            guard rules.prefillMayBeCancelled else {
                // It must run to its end; the client need not wait for it.
                guard client == .waiting else { return [] }
                client = .answered
                return .fail
            }
            prefill = .failed
            guard !decodeAnswers else { return [.cancelPrefill, settle()].merged }
            return [.cancelPrefill, abortDecode(), giveUp()].merged
        }
    }

    private mutating func prefillRejected() -> HandoffActions {
        prefill = .failed
        noticesLeft = 0
        guard !decodeAnswers else { return settle() }
        let aborted = abortDecode()
        guard client == .waiting else { return [aborted, settle()].merged }
        // The decoder judges the client's own request: this engine's error is about the limits we set.
        if rules.decoderServesAlone { return [aborted, serveAlone()].merged }
        client = .answered
        return [aborted, .answerFromPrefill, settle()].merged
    }

    private mutating func prefillEndedBadly(sent: Bool) -> HandoffActions {
        prefill = .failed
        guard !decodeAnswers else { return settle() }
        // All notifications came: the KV stands at the decoder although the answer did not come.
        let arrived = sent && rules.dispatch == .sequential && rules.expectedNotices > 0 && noticesLeft == 0
        owesRelease = arrived && rules.release == .throwAwayDecode
        let freed = [abortDecode(), releaseIfOwed(), sent ? strays() : []].merged
        noticesLeft = 0
        guard client == .waiting else { return [freed, settle()].merged }
        guard !sent || retriesLeft > 0 else { return [freed, fallBack()].merged }
        // A refused connection cost nothing; who refused is not asked again.
        if sent { retriesLeft -= 1 }
        prefill = .notStarted
        decode = .notStarted
        return [freed, .retryPair].merged
    }

    // MARK: Both legs in flight

    /// Whether the decoder's answer goes to the client, or went: it has what it needs from the prefill engine.
    private var decodeAnswers: Bool { (decode == .head && !isHeld) || decode == .done }

    /// The decoder waits for KV that will never come: it is told at once, and not blamed.
    private mutating func abortDecode() -> HandoffActions {
        guard decode == .sent || decode == .head else { return [] }
        isHeld = false
        decode = .failed
        return .cancelDecode
    }

    /// The prefill engine took the request: a decode's answer that was held back for this may go on.
    private mutating func prefillDoneBesideDecode() -> HandoffActions {
        guard isHeld else { return settle() }
        isHeld = false
        client = .headSent
        return .relayDecode
    }

    /// The decode failed or was refused: a prefill engine that waits for it is told at once, and not blamed.
    mutating func abortPrefill() -> HandoffActions {
        guard prefill == .sent else { return [] }
        prefill = .failed
        return .cancelPrefill
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
            actions = client == .gone ? releaseIfOwed() : handOver()
        } else if owesRelease {
            actions.formUnion(releaseIfOwed())
        }
        return [actions, settle()].merged
    }
}
