internal import NIOCore

/// One event of a stream that must be looked into: its first token came from the prefill engine, it is part of a split
/// request, or its usage is not the decoder's.
extension CountedCase {
    static var merging: [CountedCase] {
        [
            CountedCase("merge.completion-event", operations: 50) {
                try event(CountedInput.completion(prompt: "\"Hello\""))
            },
            CountedCase("merge.chat-event", operations: 50) { try event(CountedInput.chat()) },
            CountedCase("merge.part-event", operations: 50) { try partEvent() },
            CountedCase("merge.usage-none", operations: 50) { try usage(CountedInput.eventBytes()) },
            CountedCase("merge.usage-replaced", operations: 50) {
                try usage(
                    Array(
                        #"data: {"choices":[],"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":9}}}"#
                            .utf8) + [0x0A, 0x0A])
            },
        ]
    }

    private static func partEvent() throws -> () -> Void {
        let merge = Held(PartStreamMerge(id: "cmpl-0123456789abcdef"))
        let data = try CountedInput.tokenEvent()
        return {
            var output = ByteBuffer()
            keep(data.withUnsafeBytes { merge.value.write($0, index: 3, countsPrompt: true, to: &output) })
            keep(output)
        }
    }

    private static func usage(_ events: [UInt8]) throws -> () -> Void {
        let request = try GenerationRequest(
            endpoint: .completions,
            body: ByteBuffer(string: #"{"stream":true,"stream_options":{"include_usage":true}}"#))
        let told = #"{"usage":{"prompt_tokens_details":{"cached_tokens":4}}}"#
        let merge = UsageMerge(request, answer: PrefillAnswer(status: 200, body: ByteBuffer(string: told)))
        return {
            var output = ByteBuffer()
            events.withUnsafeBytes { merge?.write($0, to: &output) }
            keep(output)
        }
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
