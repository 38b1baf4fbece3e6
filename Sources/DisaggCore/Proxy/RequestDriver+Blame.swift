internal import HTTPTypes
internal import NIOCore

/// Whose fault a decoder's error is.
extension RequestDriver {
    /// Finds out whether the decoder failed because the prefill engine it was to have KV from is gone.
    ///
    /// The engine is asked on a new connection, since a pooled one may not have noticed yet. Meanwhile the decoder's error is
    /// kept: this is never done for an answer that a client could use.
    ///
    /// - Parameter completion: gets the prefill backend that is at fault; nil where the decoder is.
    func findWhoFailed(completion: @escaping (BackendState?) -> Void) {
        guard decodeIsHandedOff, machine.rules.decodeNeedsPrefill, let prefill else { return completion(nil) }
        // One that was restarted meanwhile knows nothing of what its predecessor computed.
        if prefill.downCause != nil || prefill.restarts != prefillRestarts { return completion(prefill) }
        let timeout = loop.shared.deployment.routing.prefill.healthTimeout
        let exchange = CollectingExchange(limit: 1 << 20, timeout: timeout, on: loop.reactor) { result in
            if case .success(let answer) = result, answer.head.status < 500 { return completion(nil) }
            completion(prefill)
        }
        loop.upstream.send(
            head: heads.head(method: .get, target: "/health", backend: prefill, bodyBytes: nil), body: [], to: prefill,
            fresh: true, for: exchange)
    }
}
