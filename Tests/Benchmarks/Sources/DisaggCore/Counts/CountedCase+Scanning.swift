internal import NIOCore

/// The one scan of a request body.
extension CountedCase {
    static var scanning: [CountedCase] {
        bodyScans("text-1KB", operations: 200) { CountedInput.textPrompt(bytes: 1000) }
            + bodyScans("text-30KB", operations: 50) { CountedInput.textPrompt(bytes: 30_000) }
            + bodyScans("tokens-30KB", operations: 10) { CountedInput.tokenPrompt(bytes: 30_000) }
            + [
                CountedCase("judge.nixl") { try judgement(CountedInput.proxy(.nixl)) },
                CountedCase("judge.lmcache") { try judgement(CountedInput.proxy(.lmcache)) },
                CountedCase("judge.lmcache-first-token") {
                    try judgement(CountedInput.proxy(.lmcache, firstToken: .prefill))
                },
            ]
    }

    private static func bodyScans(
        _ name: String, operations: Int, prompt: @escaping () -> String
    ) -> [CountedCase] {
        [
            CountedCase("members.\(name)", operations: operations) {
                let body = CountedInput.completionBody(prompt: prompt())
                return { keep(try? JSONMemberTable(scanning: body)) }
            },
            CountedCase("request.\(name)", operations: operations) {
                let body = CountedInput.completionBody(prompt: prompt())
                return { keep(try? GenerationRequest(endpoint: .completions, body: body)) }
            },
        ]
    }

    /// Whether a request can be handed off.
    private static func judgement(_ proxy: ProxyShared) throws -> () -> Void {
        let request = try CountedInput.completion(prompt: CountedInput.textPrompt(bytes: 1000))
        return { keep(proxy.handoff.reasonToDecodeAlone(request)) }
    }
}
