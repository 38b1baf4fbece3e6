internal import NIOCore

/// Whether the request may begin now, and what it holds of the pool from then on.
extension RequestDriver {
    /// Chooses for the first time: at once where nobody waits and a backend has room, else in its turn.
    ///
    /// - Parameter alone: whether no prefill backend is wanted.
    func admit(alone: Bool) {
        isAlone = alone
        if let refusal = refusalForever() {
            failure = refusal
            reason = .promptTooLarge
            return perform(machine.noBackend())
        }
        // Who waits comes first.
        if loop.shared.admission.count == 0, choose() { return begin() }
        ticket = loop.wait(self, from: origin)
        guard ticket != nil else {
            return turnAway(.queueFull, "\(loop.shared.admission.count) requests wait already")
        }
        record.timeline.beginWait(at: Self.now)
        admissionDeadline = loop.upstream.tick + LoopContext.ticks(loop.shared.deployment.admission.queueTimeout)
    }

    /// Its turn has come; there may be room.
    func tryAgain(_ ticket: AdmissionGate.Ticket) {
        let admitted = choose()
        loop.decided(ticket, admitted: admitted)
        guard admitted else { return }
        self.ticket = nil
        admissionDeadline = nil
        record.timeline.endWait(at: Self.now)
        begin()
    }

    /// Its time is over.
    func admissionTimedOut() {
        stopWaiting()
        let waited = loop.shared.deployment.admission.queueTimeout
        turnAway(.queueTimeout, "no backend had room within \(waited)")
    }

    private func turnAway(_ reason: HandoffReason, _ why: String) {
        self.reason = reason
        failure = DisaggError(.tooManyRequests, "too many requests: \(why); try again later")
        retryAfter = loop.shared.admission.secondsToWait
        perform(machine.noBackend())
    }

    private func stopWaiting() {
        admissionDeadline = nil
        if let ticket { loop.stopWaiting(ticket) }
        ticket = nil
    }

    private var constraints: PickConstraints {
        var constraints = PickConstraints()
        constraints.triedPrefill = triedPrefill
        constraints.triedDecode = triedDecode
        return constraints
    }

    /// A prompt that is larger than any decoder's buffer would wait for ever.
    private func refusalForever() -> DisaggError? {
        guard !isAlone, let capacity = loop.shared.pool.decodeChunks else { return nil }
        let chunkTokens = loop.shared.deployment.lmcache.chunkSize
        let fewest = RequestFactsReader.fewestChunks(of: request, chunkTokens: chunkTokens)
        guard fewest > capacity else { return nil }
        return DisaggError(
            .badRequest,
            "the prompt takes at least \(fewest) KV chunks of \(chunkTokens) tokens, and a decoder's buffer holds "
                + "\(capacity); send a shorter prompt, or raise lmcache.decodeBufferBytes", parameter: "prompt")
    }

    private var neededChunks: Int {
        guard !isAlone, loop.shared.pool.decodeChunks != nil else { return 0 }
        return RequestFactsReader.chunks(of: request, chunkTokens: loop.shared.deployment.lmcache.chunkSize)
    }

    /// Chooses and counts the request in.
    ///
    /// - Returns: false where it must wait.
    private func choose() -> Bool {
        // A pair that the request names itself is not for a policy to choose.
        if wish.decode != nil { return true }
        var constraints = constraints
        constraints.chunks = neededChunks
        let result = loop.pickFirst(for: request, from: origin, constraints, alone: isAlone)
        switch result {
        case .full: return false
        // Whoever is missing is found out, and told, by the choice that follows.
        case .none: return true
        case .chosen(let pair):
            guard take(pair.decode, chunks: constraints.chunks) else { return false }
            picked = pair
            count(pair, tokens: loop.pickedTokens)
            return true
        }
    }

    private func take(_ decode: BackendState, chunks: Int) -> Bool {
        giveChunksBack()
        guard chunks > 0 else { return true }
        guard let taken = decode.meter.budget.take(chunks) else { return false }
        chunksHeld = (decode.meter.budget, taken)
        return true
    }

    private func count(_ pair: PickedPair, tokens: Int) {
        promptTokens = tokens
        queuedTokens = max(0, tokens - pair.cachedTokens)
        hold(prefill: pair.prefill)
        hold(decode: pair.decode)
        if isAlone { beginPrompt(at: pair.decode, tokens: queuedTokens) }
    }

    // MARK: What is held

    /// Counts the request at a prefill backend from its choice on, so that the next pick sees it.
    func hold(prefill: BackendState?) {
        heldPrefill?.cancelReservation(tokens: queuedTokens)
        heldPrefill = prefill
        prefill?.reserve(tokens: queuedTokens)
    }

    /// Counts the request at a decode backend from its choice on.
    func hold(decode: BackendState?) {
        heldDecode?.cancelReservation(tokens: promptTokens)
        heldDecode = decode
        decode?.reserve(tokens: promptTokens)
    }

    /// The backend of a leg that is sent now counts it already, or does from now on.
    func enterPrefill(_ state: BackendState) {
        guard heldPrefill === state else { return state.enter(tokens: queuedTokens) }
        heldPrefill = nil
        state.sendReserved()
    }

    func enterDecode(_ state: BackendState) {
        guard heldDecode === state else { return state.enter(tokens: promptTokens) }
        heldDecode = nil
        state.sendReserved()
    }

    /// A pair's ids were drawn: from now on its KV may come to be.
    func beginHold(prefill: BackendState, decode: BackendState) {
        endHold()
        guard !isOver else { return }
        let chunks = chunksHeld?.chunks ?? 0
        chunksHeld = nil
        guard chunks > 0 || machine.rules.release != .nothing else { return }
        hold = KVHold(prefill: prefill, decode: decode, chunks: chunks)
    }

    /// The present attempt's KV was used, or never came to be.
    func endHold() {
        guard let ended = hold else { return }
        hold = nil
        loop.end(ended)
    }

    /// Hands the hold to whoever frees the KV.
    func takeHold() -> KVHold? {
        defer { hold = nil }
        return hold
    }

    func giveChunksBack() {
        guard let held = chunksHeld else { return }
        chunksHeld = nil
        held.budget.give(held.chunks)
    }

    /// The request is over: nothing of the pool is held any more.
    func letGo() {
        stopWaiting()
        endPrompt(isComputed: false)
        hold(prefill: nil)
        hold(decode: nil)
        giveChunksBack()
        endHold()
        loop.shared.admission.roomFreed()
    }

    // MARK: Later choices

    /// The prefill backend chosen at admission, or another one.
    func nextPrefill() -> BackendState? {
        guard !isOver else { return nil }
        if let chosen = picked?.prefill, !triedPrefill.contains(where: { $0 === chosen }) {
            picked = nil
            return chosen
        }
        picked = nil
        let chosen = loop.pick(.prefill, for: request, from: origin, constraints)
        hold(prefill: chosen)
        return chosen
    }

    /// The decode backend chosen at admission, or another one.
    ///
    /// A later attempt does not wait for room: what the first one left is being freed, and LMCache's receiver queues whole
    /// prompts.
    func nextDecode() -> BackendState? {
        guard !isOver else { return nil }
        if let chosen = picked?.decode, !triedDecode.contains(where: { $0 === chosen }) { return chosen }
        let chosen = loop.pick(.decode, for: request, from: origin, constraints)
        hold(decode: chosen)
        if let chosen, isAlone { beginPrompt(at: chosen, tokens: promptTokens) }
        giveChunksBack()
        if let chosen, neededChunks > 0 {
            let budget = chosen.meter.budget
            chunksHeld = budget.take(neededChunks).map { (budget, $0) }
        }
        return chosen
    }
}
