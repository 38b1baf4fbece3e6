/// The decode leg's inputs, and the client's.
extension HandoffMachine {
    /// The decode went out on a connection.
    package mutating func decodeWasSent() -> HandoffActions {
        guard !isFinished, rules.dispatch == .decodeFirst, handsOff, prefill == .notStarted, decode == .sent else {
            return []
        }
        prefill = .sent
        return .openPrefill
    }

    /// The decoder's answer began.
    ///
    /// - Parameters:
    ///   - handedOff: whether this decode was to use a prefill's KV.
    ///   - mayRetry: whether there is a decoder that was not tried; the only one's refusal is the client's answer.
    package mutating func decodeHead(status: Int, handedOff: Bool, mayRetry: Bool = true) -> HandoffActions {
        guard !isFinished, decode == .sent else { return [] }
        if status >= 500 || status == 429 {
            // Overload is told before the engine takes a request in: the KV lies unread.
            let isUnread = status == 429 || status == 503
            return decodeRefused(handedOff: handedOff, isUnread: isUnread, mayRetry: mayRetry)
        }
        decode = .head
        var aborted = HandoffActions()
        if status >= 400, handedOff {
            // A rejected request uses no KV. A NIXL decoder tells the prefill engine itself.
            owesRelease = rules.release == .throwAwayDecode && !isExpired
            aborted = abortPrefill()
        }
        switch client {
        case .gone, .answered:
            decode = .done
            return [aborted, .cancelDecode, releaseIfOwed(), settle()].merged
        case .waiting, .headSent:
            guard prefill != .sent || !rules.decodeWaitsForPrefill else {
                isHeld = true
                return []
            }
            client = .headSent
            return [aborted, .relayDecode, releaseIfOwed()].merged
        }
    }

    private mutating func decodeRefused(handedOff: Bool, isUnread: Bool, mayRetry: Bool) -> HandoffActions {
        decode = .head
        let aborted = abortPrefill()
        // It may not have looked at the KV. A release of what was read already is harmless.
        oweWhatIsLeft(handedOff: handedOff, isUnread: isUnread)
        let freed = [aborted, releaseIfOwed()].merged
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
        if !handedOff || (rules.dispatch == .sequential && rules.decodeMayBeRepeated && !isExpired) {
            return [freed, .cancelDecode, .retryDecode].merged
        }
        prefill = .notStarted
        return [freed, .cancelDecode, .retryPair].merged
    }

    /// The decoder's answer is complete.
    package mutating func decodeEnded() -> HandoffActions {
        guard !isFinished, decode == .head, !isHeld else { return [] }
        decode = .done
        if client == .headSent { client = .answered }
        return settle()
    }

    /// The decode failed.
    ///
    /// - Parameter canResume: whether another decoder can go on where the client's stream broke.
    package mutating func decodeFailed(
        _ failure: Failure, handedOff: Bool, canResume: Bool = false
    ) -> HandoffActions {
        guard !isFinished, decode == .sent || decode == .head else { return [] }
        let hadHead = decode == .head && !isHeld
        isHeld = false
        decode = .failed
        let aborted = [failure == .timeout ? .cancelDecode : [], abortPrefill()].merged
        // Nothing tells whether it read the KV: it may live and hold it, or be dead and the prefill engine hold it.
        if !hadHead { oweWhatIsLeft(handedOff: handedOff, isUnread: failure == .connect) }
        if hadHead, canResume, client == .headSent, retriesLeft > 0, rules.decoderServesAlone {
            retriesLeft -= 1
            decode = .notStarted
            handsOff = false
            return [aborted, .resumeDecode].merged
        }
        guard client == .waiting, !hadHead, failure != .timeout, failure == .connect || retriesLeft > 0 else {
            return [aborted, releaseIfOwed(), breakOrSettle()].merged
        }
        // A refused connection cost nothing; who refused is not asked again.
        if failure != .connect { retriesLeft -= 1 }
        decode = .notStarted
        if !handedOff || prefillServesAnother(after: failure) {
            // The same finished prefill serves the next decoder.
            return [aborted, .retryDecode].merged
        }
        prefill = .notStarted
        return [aborted, releaseIfOwed(), .retryPair].merged
    }

    /// Whether a finished prefill may be handed to another decoder after the first one failed.
    private func prefillServesAnother(after failure: Failure) -> Bool {
        guard rules.dispatch == .sequential, !isExpired else { return false }
        return rules.decodeMayBeRepeated || (failure == .connect && rules.prefillOutlivesDecoder)
    }

    /// A decode that may not have used the KV of a finished prefill leaves it to be freed.
    private mutating func oweWhatIsLeft(handedOff: Bool, isUnread: Bool) {
        guard handedOff, prefill == .done, rules.release != .nothing, !isExpired else { return }
        if isUnread || rules.releaseMayRepeat { owesRelease = true }
    }

    /// A retried decode's new decoder was chosen.
    package mutating func decodeRestarted() -> HandoffActions {
        guard !isFinished, decode == .notStarted else { return [] }
        // The client left while the decoder was chosen; only notifications are waited for.
        guard client == .waiting || client == .headSent else { return [releaseIfOwed(), settle()].merged }
        return handsOff ? handOver() : serveAlone()
    }

    // MARK: The client

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
            isHeld = false
            actions.insert(.cancelDecode)
        case .sent where rules.decodeMayBeCancelledBeforeHead || prefill != .done:
            decode = .failed
            actions.insert(.cancelDecode)
            // The decoder tells the prefill engine when it sees its client leave: unless it died, or never read the request.
            if rules.release == .rejectedDecode { oweWhatIsLeft(handedOff: handsOff, isUnread: false) }
        default: break
        }
        return [actions, settle()].merged
    }
}
