import NIOCore
import Testing

@testable import DisaggCore

/// Whose count of cached tokens the client sees.
@Suite("Cached tokens in usage")
struct UsageMergeTests {
    private static func merge(
        _ endpoint: GenerationRequest.Endpoint, _ body: String, answer: String
    ) throws -> UsageMerge? {
        UsageMerge(
            try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body)),
            answer: PrefillAnswer(status: 200, body: ByteBuffer(string: answer)))
    }

    private static func applied(_ merge: UsageMerge?, _ text: String) -> String? {
        merge.map { merge in
            var output = ByteBuffer()
            Array(text.utf8).withUnsafeBytes { merge.write($0, to: &output) }
            return String(buffer: output)
        }
    }

    private static let told = #"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}}"#

    @Test("the prefill engine's count replaces the decoder's, and nothing else changes")
    func replaces() throws {
        let merge = try Self.merge(.completions, "{}", answer: Self.told)
        let text =
            #"{"text":"\"prompt_tokens_details\":{\"cached_tokens\":7}","usage":{"prompt_tokens":9,"#
            + #""prompt_tokens_details":{"cached_tokens":1234567}}} "prompt_tokens_details":{"cached_tokens":"#
        #expect(
            Self.applied(merge, text)
                == text.replacingFirst(#"{"cached_tokens":1234567"#, with: #"{"cached_tokens":4"#))
        #expect(Self.applied(merge, "") == "")
        #expect(Self.applied(merge, #""prompt_tokens_details":null"#) == #""prompt_tokens_details":null"#)
    }

    @Test("responses and messages count under names of their own")
    func names() throws {
        let responses = try Self.merge(
            .responses, #"{"stream":true}"#,
            answer: #"{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0}}}"#)
        #expect(
            Self.applied(responses, #""input_tokens_details":{"cached_tokens":9,"x":1}"#)
                == #""input_tokens_details":{"cached_tokens":0,"x":1}"#)
        let messages = try Self.merge(
            .messages, #"{"stream":true}"#, answer: #"{"usage":{"input_tokens":9,"cache_read_input_tokens":3}}"#)
        #expect(Self.applied(messages, #""cache_read_input_tokens":9}"#) == #""cache_read_input_tokens":3}"#)
    }

    @Test(
        "the answer passes raw where nothing would change",
        arguments: [
            ("{}", "{}"), ("{}", #"{"usage":{"prompt_tokens":9,"prompt_tokens_details":null}}"#),
            (#"{"stream":true}"#, told), (#"{"stream":true,"stream_options":{"include_usage":false}}"#, told),
        ])
    func raw(body: String, answer: String) throws {
        #expect(try Self.merge(.completions, body, answer: answer) == nil)
    }

    @Test("a stream that shows usage is looked into")
    func stream() throws {
        let body = #"{"stream":true,"stream_options":{"include_usage":true}}"#
        #expect(try Self.merge(.chatCompletions, body, answer: Self.told) != nil)
    }
}

extension String {
    fileprivate func replacingFirst(_ text: String, with other: String) -> String {
        guard let range = firstRange(of: text) else { return self }
        return String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
    }
}
