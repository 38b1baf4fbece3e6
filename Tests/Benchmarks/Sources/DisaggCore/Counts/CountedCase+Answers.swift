internal import NIOCore

/// Reading a prefill engine's answer, as the driver does when it is complete.
extension CountedCase {
    static var answers: [CountedCase] {
        [
            CountedCase("answer.nixl", operations: 50) {
                try reading(CountedInput.nixlAnswer(), CountedInput.proxy(.nixl))
            },
            CountedCase("answer.lmcache-first-token", operations: 2) {
                try reading(CountedInput.firstTokenAnswer(), CountedInput.proxy(.lmcache, firstToken: .prefill))
            },
        ]
    }

    private static func reading(_ body: ByteBuffer, _ proxy: ProxyShared) throws -> () -> Void {
        let request = try CountedInput.completion(prompt: CountedInput.textPrompt(bytes: 1000))
        let handoff = proxy.handoff
        let verdict = handoff.judge(PrefillAnswer(status: 200, body: body, contextLength: 131_072), for: request)
        guard verdict == .ready else { throw CountedInput.Failure(description: "the prefill answer is not taken") }
        return {
            let answer = PrefillAnswer(status: 200, body: body, contextLength: 131_072)
            keep(handoff.firstTokenMerge(request, answer: answer))
            keep(handoff.judge(answer, for: request))
        }
    }
}
