internal import NIOCore

/// One event of a stream whose first token came from the prefill engine.
extension CountedCase {
    static var merging: [CountedCase] {
        [
            CountedCase("merge.completion-event", operations: 50) {
                try event(CountedInput.completion(prompt: "\"Hello\""))
            },
            CountedCase("merge.chat-event", operations: 50) { try event(CountedInput.chat()) },
        ]
    }

    private static func event(_ request: GenerationRequest) throws -> () -> Void {
        let fixture =
            request.endpoint == .chatCompletions
            ? "32-lmcache-prefill-chat.json" : "31-lmcache-prefill-completion.json"
        let answer = PrefillAnswer(
            status: 200, body: ByteBuffer(bytes: try CountedInput.fixture(fixture)), contextLength: 131_072)
        let merge = FirstTokenMerge(request, answer: answer)
        // The decode leg is a completion for both endpoints.
        let data = try CountedInput.tokenEvent()
        return {
            var output = ByteBuffer()
            data.withUnsafeBytes { merge.writeEvent($0, to: &output) }
            keep(output)
        }
    }
}
