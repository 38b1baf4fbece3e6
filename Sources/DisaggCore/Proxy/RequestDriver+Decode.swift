internal import NIOCore

/// The decode leg.
extension RequestDriver {
    func openDecode(handedOff: Bool, fresh: Bool) {
        if !fresh { lostOnStaleConnection = false }
        guard let decode else { return perform(machine.decodeFailed(.connect, handedOff: handedOff)) }
        var leg: LegRequest
        if let continuation {
            leg = continuation.leg
        } else if handedOff, let attempt {
            leg = handoff.decodeLeg(request, attempt, answer: answer)
        } else {
            leg = handoff.decodeAloneLeg(request)
        }
        if !handedOff { giveChunksBack() }
        decodeIsHandedOff = handedOff
        record.timeline.decodeSent(at: Self.now)
        let exchange = DecodeExchange(
            driver: self, requestID: requestID, sink: sink,
            merge: continuation?.merge ?? (handedOff ? merge : nil), streamIsOpen: streamIsOpen,
            rewriter: rewriter(&leg), usage: handedOff ? answer.flatMap { UsageMerge(request, answer: $0) } : nil)
        exchange.lastActivity = loop.upstream.tick
        if pausedSince != nil { exchange.pause() }
        decodeExchange = exchange
        enterDecode(decode)
        timePrompt()
        let joined = trace?.begin("decode", backend: decode.backend.id) ?? []
        loop.upstream.send(
            head: heads.head(of: leg, to: decode, joining: joined), body: leg.body, to: decode,
            fresh: fresh || needsFreshConnections,
            for: exchange)
    }

    private func closeDecode() {
        guard let exchange = decodeExchange else { return }
        trace?.end("decode")
        record.events = exchange.chunks
        if exchange.status == 0 { record.timeline.decodeAnswered(at: Self.now, succeeded: false) }
        decodeExchange = nil
        exchange.detach()
        endPrompt(isComputed: false)
        decode?.leave(tokens: promptTokens)
        loop.shared.admission.roomFreed()
    }

    /// Closes the decode's connection.
    ///
    /// - Parameter releases: whether its KV is released then. The release must not overtake the request on another connection,
    ///   so the decoder is first told that its client left.
    func cancelDecode(releases: Bool = false) {
        guard let exchange = decodeExchange else { return }
        closeDecode()
        if releases, machine.client == .gone, machine.rules.release == .rejectedDecode, exchange.wasSent {
            leftDecode = exchange
        } else {
            exchange.cancel()
        }
        let mayHoldKV = decodeIsHandedOff && machine.prefill == .done && !exchange.isRelaying
        if mayHoldKV, machine.rules.release == .nothing { endKV(.cancelled) }
    }

    func decodeWasSent(_ exchange: DecodeExchange) {
        guard exchange === decodeExchange else { return }
        perform(machine.decodeWasSent())
    }

    func decodeBegan(_ exchange: DecodeExchange) {
        guard exchange === decodeExchange, machine.decode == .sent, !exchange.isJudged else { return }
        record.timeline.decodeAnswered(at: Self.now, succeeded: true)
        guard exchange.outcome >= 500, exchange.outcome != 503 else { return decodeOpened(exchange) }
        exchange.isJudged = true
        exchange.pause()
        findWhoFailed { [self] prefill in
            guard exchange === decodeExchange, machine.decode == .sent else { return }
            decodeOpened(exchange, prefillIsGone: prefill)
        }
    }

    /// Goes on with an answer, or with an error of the decoder's or of the prefill engine's that it could not read from.
    private func decodeOpened(_ exchange: DecodeExchange, prefillIsGone gone: BackendState? = nil) {
        var mayRetry = loop.members.decode.contains { state in
            state !== decode && !triedDecode.contains { $0 === state }
        }
        var isBlamed = true
        if let gone {
            (mayRetry, isBlamed) = (true, false)
            let text = "\(decode?.backend.id ?? "decode") could not have the KV of \(gone.backend.id), which is gone"
            blamePrefill(gone, DisaggError(.badGateway, text))
        } else {
            decode?.record(.status(exchange.outcome, retryAfter: exchange.head?.retryAfter), at: .now())
            if exchange.outcome >= 500 || exchange.outcome == 429 {
                failure = DisaggError(.badGateway, "\(decode?.backend.id ?? "decode") answered \(exchange.outcome)")
            }
            if exchange.outcome >= 500, refreshFacts() { (mayRetry, isBlamed) = (true, false) }
        }
        let actions = machine.decodeHead(
            status: exchange.outcome, handedOff: decodeIsHandedOff, mayRetry: mayRetry)
        if actions.contains(.retryPair), isBlamed, let decode { triedDecode.append(decode) }
        perform(actions)
        // Nothing more is read before the prefill engine is known to have taken the request.
        if machine.isHeld { exchange.pause() }
    }

    /// A decoder that fails may have been told what is no longer true of the prefill engine: it is asked again.
    ///
    /// - Returns: whether that can make a difference; once a request.
    private func refreshFacts() -> Bool {
        guard decodeIsHandedOff, !handoff.neededFacts.isEmpty, !refreshedFacts, let prefill else { return false }
        refreshedFacts = true
        prefill.facts = nil
        return true
    }

    /// Passes the decoder's answer on from its head.
    func relayDecode() {
        guard let exchange = decodeExchange else { return }
        status = streamIsOpen ? 200 : exchange.status
        sawFirstByte()
        observeFirstByte(of: exchange)
        endPrompt(isComputed: exchange.outcome < 400)
        if decodeIsHandedOff, exchange.outcome < 400 {
            endHold()
            endKV(.consumed)
        }
        if exchange.outcome < 400 { noteDecoderHasPrompt() }
        if pausedSince == nil { exchange.resume() }
        exchange.beginRelay()
        forgetRequest()
        if exchange.hasEnded { decodeEnded(exchange) }
    }

    func decodeEnded(_ exchange: DecodeExchange) {
        guard exchange === decodeExchange else { return }
        observePace(exchange)
        closeDecode()
        sink.end()
        perform(machine.decodeEnded())
    }

    func decodeFailed(_ exchange: DecodeExchange, _ why: UpstreamFailure) {
        guard exchange === decodeExchange, let decode else { return }
        if case .staleConnection = why { return resendDecode() }
        var kind = HandoffMachine.Failure.broken
        if case .connect = why {
            if !lostOnStaleConnection { kind = .connect }
        } else {
            decode.recordFailure()
        }
        failure = DisaggError(kind == .connect ? .unavailable : .badGateway, "\(decode.backend.id): \(why)")
        noteLease()
        let actions = machine.decodeFailed(kind, handedOff: decodeIsHandedOff, canResume: canResume)
        // The stream that broke is still needed to end the client's answer well.
        if actions.contains(.breakStream) {
            perform(actions)
            return closeDecode()
        }
        closeDecode()
        if actions.contains(.retryPair) { triedDecode.append(decode) }
        perform(actions)
    }

    /// The pooled connection had been closed: the leg goes out again on a new one.
    private func resendDecode() {
        closeDecode()
        guard decodeIsHandedOff, machine.rules.dispatch != .sequential else {
            lostOnStaleConnection = true
            return openDecode(handedOff: decodeIsHandedOff, fresh: true)
        }
        // The decoder may have read the ids, which must not reach it twice: both legs are sent anew.
        needsFreshConnections = true
        perform(machine.decodeFailed(.connect, handedOff: true))
    }

    func breakStream() {
        loop.metrics.streamsBroken += 1
        if let decodeExchange {
            decodeExchange.breakAnswer(failure)
        } else {
            sink.write(request.endpoint.errorEvents(failure))
            sink.end()
        }
    }

    /// Lets go of the prompt once no leg can need it: a long stream does not.
    func forgetRequest() {
        guard machine.client == .headSent, recorder == nil, !machine.needsRequest, !isOver else { return }
        request.forgetBody()
        answer = nil
        prefillBody = ByteBuffer()
        prefillHead = nil
    }
}
