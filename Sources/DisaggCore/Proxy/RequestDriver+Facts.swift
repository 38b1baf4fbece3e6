internal import NIOCore

/// A prompt that a decode backend computes itself.
struct OpenPrompt {
    let meter: BackendMeter
    let tokens: Int
    /// Whether its time is being taken: only a stream's first byte tells that the prompt was computed.
    var isTimed = false
}

/// What the request tells its backends' meters, beside being open there.
extension RequestDriver {
    /// A decode backend was chosen that is to compute the prompt.
    func beginPrompt(at backend: BackendState, tokens: Int) {
        endPrompt(isComputed: false)
        backend.meter.beginPrompt(tokens: tokens)
        openPrompt = OpenPrompt(meter: backend.meter, tokens: tokens)
    }

    /// Its leg is sent now.
    func timePrompt() {
        guard loop.measuresSpeed, request.isStream, let prompt = openPrompt, !prompt.isTimed else { return }
        openPrompt?.isTimed = true
        prompt.meter.prefillBegan(at: Self.now)
    }

    /// The prompt was computed, or nobody waits for it any more.
    func endPrompt(isComputed: Bool) {
        guard let prompt = openPrompt else { return }
        openPrompt = nil
        prompt.meter.endPrompt(tokens: prompt.tokens)
        guard prompt.isTimed else { return }
        prompt.meter.prefillEnded(tokens: isComputed ? prompt.tokens : 0, at: Self.now)
    }

    /// The prefill leg was answered.
    func observePrefillTime(at backend: BackendState) { observe(record.timeline.prefill, at: backend) }

    /// The decode leg began to answer; an answer in one piece says nothing of its first token.
    func observeFirstByte(of exchange: DecodeExchange) {
        guard request.isStream, exchange.outcome < 400, let decode else { return }
        observe(record.timeline.decodeFirstByte, at: decode)
    }

    private func observe(_ nanoseconds: Int64?, at backend: BackendState) {
        guard loop.measuresSpeed, let nanoseconds else { return }
        backend.meter.observe(timeToFirstToken: Double(nanoseconds) / 1e9, at: Self.now)
    }

    /// The stream's mean time between tokens: an engine sends each in a piece of its own.
    func observePace(_ exchange: DecodeExchange) {
        guard loop.measuresSpeed, exchange.pieces > 1, let decode, let began = exchange.began else { return }
        let now = NIODeadline.now()
        let seconds = Double((now - began).nanoseconds) / 1e9
        decode.meter.observe(
            timePerToken: seconds / Double(exchange.pieces), running: decode.meter.inFlight, at: now.uptimeNanoseconds)
    }
}
