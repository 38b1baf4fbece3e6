internal import HTTPTypes
internal import NIOCore

/// Who serves the request: the first pair, and the next one after a failure.
extension RequestDriver {
    func start() {
        if let refusal = handoff.refusal(request) {
            failure = refusal
            reason = .unsupportedRequest
            return perform(machine.noBackend())
        }
        var alone = decidedAlone
        if alone == nil, loop.members.prefill.isEmpty { alone = .noPrefillBackend }
        if let alone { reason = alone }
        aloneReason = alone
        admit(alone: alone != nil)
    }

    /// Begins with the pair that was chosen.
    func begin() {
        record.timeline.admitted(at: Self.now)
        chooseDecode { [self] found in
            guard found else {
                reason = refusedMode ? .transferMode : .noDecodeBackend
                return perform(machine.noBackend())
            }
            if let alone = aloneReason ?? reasonNotToPay(), alone != .noPrefillBackend {
                reason = alone
                hold(prefill: nil)
                return perform(machine.start(alone: true))
            }
            choosePrefill { [self] found in
                if !found {
                    reason = refusedMode ? .transferMode : .noPrefillBackend
                    if triedPrefill.isEmpty {
                        failure = DisaggError(.unavailable, "no prefill backend can be reached; see /ready")
                    }
                }
                // Without a prefill engine it is for the rules to say whether a decoder may serve alone.
                perform(machine.restart(alone: !found))
            }
        }
    }

    func retryPair() {
        loop.metrics.retries += 1
        retriesMade += 1
        attempt = nil
        answer = nil
        merge = nil
        leaseDeadline = nil
        chooseDecode { [self] found in
            guard found else { return perform(machine.noBackend()) }
            choosePrefill { [self] found in
                if !found { reason = .prefillFailed }
                perform(machine.restart(alone: !found))
            }
        }
    }

    func retryDecode() {
        loop.metrics.retries += 1
        retriesMade += 1
        if let decode { triedDecode.append(decode) }
        chooseDecode { [self] found in
            noteLease()
            perform(found ? machine.decodeRestarted() : machine.noBackend())
        }
    }

    // MARK: Backends

    /// Chooses a prefill engine, asks it for what the protocol must know of it, and draws the attempt's ids.
    private func choosePrefill(completion: @escaping (Bool) -> Void) {
        guard let decode,
            let chosen = Self.take(&wish.prefill) ?? nextPrefill()
        else {
            prefill = nil
            return completion(false)
        }
        if refuses(chosen) {
            triedPrefill.append(chosen)
            return choosePrefill(completion: completion)
        }
        prefill = chosen
        // One that the request itself names was not counted by a pick.
        if heldPrefill !== chosen { hold(prefill: chosen) }
        guard !handoff.neededFacts.isEmpty else {
            draw(chosen, decode, EngineFacts())
            return completion(true)
        }
        loop.facts.find(handoff.neededFacts, of: chosen) { [self] result in
            switch result {
            case .success(let facts):
                draw(chosen, decode, facts)
                completion(true)
            case .failure(let error):
                triedPrefill.append(chosen)
                failure = error
                choosePrefill(completion: completion)
            }
        }
    }

    /// Draws what an attempt needs: nothing of it was used before or will be again.
    private func draw(_ prefill: BackendState, _ decode: BackendState, _ facts: EngineFacts) {
        let id = RequestID(loop: loop.index, using: &loop.generator)
        ids.append(id)
        receiver = decode
        prefillRestarts = prefill.restarts
        beginHold(prefill: prefill, decode: decode)
        noticeConnections = []
        let pair = BackendPair(
            prefill: loop.facts.completed(prefill.backend), decode: loop.facts.completed(decode.backend))
        attempt = HandoffAttempt(
            pair: pair, id: id, prefillRank: rank(of: pair.prefill, among: facts.engineIDs.keys),
            decodeRank: rank(of: pair.decode), facts: facts, previousTurn: takeTurn())
    }

    /// A data-parallel rank; nil where there is only one.
    private func rank(of backend: Backend, among told: Dictionary<Int, String>.Keys = [:].keys) -> Int? {
        if told.count > 1 { return told.sorted().randomElement(using: &loop.generator) }
        let ranks = backend.transfer.dataParallel
        return ranks > 1 ? Int.random(in: 0..<ranks, using: &loop.generator) : nil
    }

    /// Chooses a decoder, and where the protocol wants it makes sure of it before any prefill is sent.
    private func chooseDecode(completion: @escaping (Bool) -> Void) {
        guard let chosen = Self.take(&wish.decode) ?? nextDecode() else {
            decode = nil
            return completion(false)
        }
        if refuses(chosen) {
            triedDecode.append(chosen)
            return chooseDecode(completion: completion)
        }
        decode = chosen
        guard machine.rules.checksDecoderFirst else { return completion(true) }
        loop.upstream.checkReachable(chosen) { [self] unreachable in
            if let unreachable {
                triedDecode.append(chosen)
                failure = DisaggError(.unavailable, "\(chosen.backend.id) \(unreachable)")
                return chooseDecode(completion: completion)
            }
            learnContextLength(of: chosen) { completion(true) }
        }
    }

    /// Whether an engine registered itself in a way that does not fit the hand-off.
    private func refuses(_ chosen: BackendState) -> Bool {
        guard let refusal = loop.facts.refusal(of: chosen.backend, by: handoff) else { return false }
        failure = refusal
        refusedMode = true
        return true
    }

    /// What the request wishes; only once, so that a failure is followed by a choice.
    private static func take(_ wished: inout BackendState?) -> BackendState? {
        defer { wished = nil }
        return wished
    }

    /// The first token's place in the context must be known before the prefill engine may sample it.
    private func learnContextLength(of backend: BackendState, completion: @escaping () -> Void) {
        guard loop.shared.deployment.firstToken == .prefill, loop.shared.deployment.handoff == .lmcache,
            reason == .disaggregated, backend.contextLength == nil
        else { return completion() }
        let exchange = CollectingExchange(
            timeout: settings.connectTimeout, on: loop.reactor
        ) { result in
            if case .success(let answer) = result,
                let models = try? JSONView(parsing: Array(answer.body.readableBytesView)),
                let length = models["data"]?[0]?["max_model_len"]?.int
            {
                backend.contextLength = length
            }
            completion()
        }
        loop.upstream.send(
            head: heads.head(method: .get, target: "/v1/models", backend: backend, bodyBytes: nil), body: [],
            to: backend, for: exchange)
    }
}
