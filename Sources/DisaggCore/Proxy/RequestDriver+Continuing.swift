internal import NIOConcurrencyHelpers
internal import NIOCore

/// What outlives one decode: a broken stream that goes on elsewhere, and a turn's KV for the conversation's next one.
extension RequestDriver {
    /// What must look into a decode's answer; it may ask for more in the leg. Nil where the answer passes through raw.
    func rewriter(_ leg: inout LegRequest) -> AnswerRewriter? {
        guard continuation == nil, merge == nil else { return nil }
        logprobMerge = PromptLogprobMerge(request)
        if let logprobMerge { return logprobMerge }
        if let turns = loop.shared.turns {
            let lifetime = TimeAmount(loop.shared.deployment.handoffOptions.turnLifetime)
            return TurnRecorder { [conversation] parameters in
                guard let conversation else { return }
                // The decoder's own clock started a little earlier.
                let expires = NIODeadline.now() + .nanoseconds(lifetime.nanoseconds / 16 * 15)
                turns.withLockedValue {
                    $0.keep(parameters, of: conversation.key, prompt: conversation.fingerprint, expires: expires)
                }
            }
        }
        guard loop.shared.deployment.handoffOptions.resume, let recorder = StreamRecorder(request) else { return nil }
        self.recorder = recorder
        leg = StreamRecorder.asking(leg)
        return recorder
    }

    // MARK: Streams

    /// Whether another decoder can go on where the present stream breaks.
    var canResume: Bool { recorder?.continuation(contextLength: decode?.contextLength) != nil }

    func resumeDecode() {
        continuation = recorder?.continuation(contextLength: decode?.contextLength)
        recorder = nil
        streamIsOpen = true
        loop.metrics.streamsResumed += 1
        retryDecode()
    }

    // MARK: Turns

    /// The parameters that the conversation's last turn left, taken out of the table: they are used once.
    func takeTurn() -> ByteBuffer? {
        guard let turns = loop.shared.turns, let conversation, ids.count == 1 else { return nil }
        return turns.withLockedValue { $0.take(conversation.key, prompt: conversation.prompt, at: .now()) }
    }
}
