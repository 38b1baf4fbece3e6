internal import NIOCore

/// Rewriting a 30 KB request for a leg.
extension CountedCase {
    static var splicing: [CountedCase] {
        legs("nixl", answer: CountedInput.nixlAnswer) { CountedInput.proxy(.nixl) }
            + legs("lmcache", answer: CountedInput.prefillAnswer) { CountedInput.proxy(.lmcache) }
            + legs("lmcache-first-token", decodes: 2, answer: CountedInput.firstTokenAnswer) {
                CountedInput.proxy(.lmcache, firstToken: .prefill)
            }
    }

    private static func legs(
        _ name: String, decodes: Int = 50, answer: @escaping () throws -> ByteBuffer, proxy: @escaping () -> ProxyShared
    ) -> [CountedCase] {
        [
            CountedCase("splice.\(name).prefill") {
                let shared = proxy()
                let request = try CountedInput.completion(prompt: CountedInput.textPrompt(bytes: 30_000))
                let attempt = attempt(shared)
                return { keep(shared.handoff.prefillLeg(request, attempt)) }
            },
            CountedCase("splice.\(name).decode", operations: decodes) {
                let shared = proxy()
                let request = try CountedInput.completion(prompt: CountedInput.textPrompt(bytes: 30_000))
                let read = PrefillAnswer(status: 200, body: try answer(), contextLength: 131_072)
                let attempt = attempt(shared)
                return { keep(shared.handoff.decodeLeg(request, attempt, answer: read)) }
            },
        ]
    }

    private static func attempt(_ shared: ProxyShared) -> HandoffAttempt {
        var generator = SystemRandomNumberGenerator()
        return HandoffAttempt(
            pair: BackendPair(prefill: shared.pool.prefill[0].backend, decode: shared.pool.decode[0].backend),
            id: RequestID(loop: 0, using: &generator))
    }
}
