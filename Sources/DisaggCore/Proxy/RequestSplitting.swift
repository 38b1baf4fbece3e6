/// Decides whether a request goes on as it came or in parts.
enum RequestSplitting {
    /// What becomes of a request.
    enum Outcome {
        /// It goes on in one piece, to a decoder alone where a reason is given.
        case whole(GenerationRequest, alone: HandoffReason?)
        case parts(RequestSplit)
    }

    /// Splits a request for several prompts or choices where the hand-off cannot take it whole, and can take its parts.
    static func judge(_ request: GenerationRequest, _ shared: ProxyShared) throws(DisaggError) -> Outcome {
        let handoff = shared.handoff
        let reason = handoff.reasonToDecodeAlone(request)
        let isSeveral = request.promptShape == .many || request.choices != 1
        let isRefused = isSeveral && handoff.refusal(request) != nil
        guard isRefused || reason == .promptList || reason == .severalChoices, !shared.pool.prefill.isEmpty else {
            return .whole(request, alone: reason)
        }
        switch RequestSplit.split(request, areCopies: handoff.choicesAreCopies) {
        case .alone(let why): return .whole(request, alone: why)
        case .split(let split):
            let part = try split.request(prompt: 0)
            // No gain where each part would be served by a decoder alone, or be refused.
            if handoff.refusal(part) != nil { return .whole(request, alone: reason) }
            if let why = handoff.reasonToDecodeAlone(part) { return .whole(request, alone: why) }
            return split.count == 1 ? .whole(part, alone: nil) : .parts(split)
        }
    }
}
