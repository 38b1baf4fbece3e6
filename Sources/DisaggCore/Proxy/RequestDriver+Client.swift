internal import Logging
internal import NIOCore

/// The client's side, and the deadlines.
extension RequestDriver {
    func clientGone() {
        guard !isOver else { return }
        loop.metrics.clientsGone += 1
        record.clientLeft = true
        leave()
    }

    /// Ends the request by its protocol's rule: nobody waits for its answer any more.
    func leave() {
        guard !isOver else { return }
        if status == 0 { status = 499 }
        perform(machine.clientGone())
    }

    func clientIsWritable(_ isWritable: Bool) {
        if isWritable {
            pausedSince = nil
            decodeExchange?.lastActivity = loop.upstream.tick
            if !machine.isHeld { decodeExchange?.resume() }
        } else {
            if pausedSince == nil { pausedSince = loop.upstream.tick }
            decodeExchange?.pause()
        }
    }

    // MARK: Deadlines

    func checkDeadlines(tick: Int) {
        if let deadline = admissionDeadline, tick >= deadline { return admissionTimedOut() }
        if let deadline = prefillDeadline, tick >= deadline { prefillTimedOut() }
        giveUpOnSilent()
        if let deadline = noticeDeadline, tick >= deadline { noticesTimedOut() }
        noteLease()
        let patience = LoopContext.ticks(settings.decodeIdleTimeout)
        if let pausedSince, tick - pausedSince >= patience {
            // The client stopped reading: it is treated as gone, so that its engine is not held for ever.
            self.pausedSince = nil
            sink.abort()
            clientGone()
        } else if let decodeExchange, pausedSince == nil, !machine.isHeld,
            tick - decodeExchange.lastActivity >= patience
        {
            decodeTimedOut()
        }
    }

    /// An engine that answers neither its health check nor this request is given up without the whole patience.
    ///
    /// A stream that has begun is left to its engine: it may only be stopped for a while.
    private func giveUpOnSilent() {
        if prefillDeadline != nil, let prefill, prefill.downCause == .silent {
            prefillDeadline = nil
            failure = DisaggError(.gatewayTimeout, "\(prefill.backend.id) does not answer")
            triedPrefill.append(prefill)
            return perform(machine.prefillFailed(.silent))
        }
        if let exchange = decodeExchange, machine.decode == .sent, exchange.wasSent, let decode,
            decode.downCause == .silent
        {
            exchange.cancel()
            decodeFailed(exchange, .closed)
        }
    }

    private func prefillTimedOut() {
        prefillDeadline = nil
        prefill?.recordFailure()
        failure = DisaggError(
            .gatewayTimeout, "\(prefill?.backend.id ?? "prefill") did not answer within \(settings.prefillTimeout)")
        perform(machine.prefillFailed(.timeout))
    }

    private func noticesTimedOut() {
        endNoticeWait()
        loop.metrics.notificationsTimedOut += 1
        loop.shared.logger.warning(
            "notification did not come in time, the decoder computes what is missing",
            metadata: [
                "disagg.request-id": "\(requestID)", "disagg.prefill": "\(prefill?.backend.id ?? "-")",
                "disagg.decode": "\(decode?.backend.id ?? "-")", "disagg.waited": "\(settings.notificationTimeout)",
            ])
        perform(machine.noticesTimedOut())
    }

    private func decodeTimedOut() {
        decode?.recordFailure()
        failure = DisaggError(
            .gatewayTimeout, "\(decode?.backend.id ?? "decode") sent nothing for \(settings.decodeIdleTimeout)")
        let actions = machine.decodeFailed(.timeout, handedOff: decodeIsHandedOff, canResume: canResume)
        if actions.contains(.breakStream) { breakStream() }
        perform(actions.subtracting(.breakStream))
    }
}
