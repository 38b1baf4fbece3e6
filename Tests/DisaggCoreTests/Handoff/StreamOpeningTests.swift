import Testing

@testable import DisaggCore

@Suite("StreamOpening")
struct StreamOpeningTests {
    private static let role =
        #"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#
    private static let token =
        #"{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#
    private static let failure =
        #"{"error":{"message":"Internal server error","type":"InternalServerError","param":null,"code":500}}"#

    private func opening(_ text: String) -> StreamOpening {
        Array(text.utf8).withUnsafeBytes { StreamOpening(reading: $0) }
    }

    @Test("a token begins a stream")
    func begins() {
        let texts = [
            #"{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":null}]}"#,
            Self.token,
            #"{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}"#,
            #"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"index":0}]}}]}"#,
            #"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
            #"{"type":"response.output_text.delta","delta":"a"}"#, #"{"type":"content_block_delta","index":0}"#,
            // What is not understood is the client's.
            "[DONE]", "nonsense", #"{"error":"#, #"{"error":null,"choices":[{"text":"a"}]}"#, "7",
        ]
        for text in texts { #expect(opening("data: \(text)\n\n") == .begun, "\(text)") }
    }

    @Test("an announcement is no beginning")
    func announcements() {
        let texts = [
            Self.role, #"{"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
            #"{"response":{"status":"in_progress"},"sequence_number":0,"type":"response.created"}"#,
            #"{"type":"response.in_progress"}"#, #"{"type":"message_start","message":{"content":[]}}"#,
            #"{"type":"content_block_start","index":0}"#,
        ]
        for text in texts { #expect(opening("data: \(text)\n\n") == .preamble, "\(text)") }
        #expect(opening("") == .preamble)
        #expect(opening(": a comment\n\n") == .preamble)
        #expect(opening("data: \(Self.role)\n\ndata: \(Self.role)\n\n") == .preamble)
        #expect(opening("data: \(Self.role)\n\ndata: \(Self.token)\n\n") == .begun)
    }

    @Test("an error ahead of the first token is a failure with its own status")
    func failures() {
        #expect(opening("data: \(Self.failure)\n\ndata: [DONE]\n\n") == .failed(status: 500))
        #expect(opening("data: \(Self.role)\n\ndata: \(Self.failure)\n\n") == .failed(status: 500))
        #expect(opening("data: \(Self.token)\n\ndata: \(Self.failure)\n\n") == .begun)
        #expect(opening("data: {\"error\":{\"message\":\"m\",\"code\":400}}\n\n") == .failed(status: 400))
        // A code that is no status says nothing.
        #expect(opening("data: {\"error\":{\"code\":\"overloaded\"}}\n\n") == .failed(status: 500))
        #expect(opening("data: {\"error\":{\"code\":200}}\n\n") == .failed(status: 500))
        #expect(opening("data: {\"object\":\"error\",\"code\":503}\n\n") == .failed(status: 503))
        #expect(
            opening("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n")
                == .failed(status: 500))
        #expect(opening("data: {\"type\":\"response.failed\",\"response\":{}}\n\n") == .failed(status: 500))
    }

    @Test("chunk framing around the events changes nothing")
    func framed() {
        func chunk(_ text: String) -> String { String(text.utf8.count, radix: 16) + "\r\n\(text)\r\n" }
        #expect(opening(chunk("data: \(Self.role)\n\n")) == .preamble)
        #expect(opening(chunk("data: \(Self.failure)\n\n")) == .failed(status: 500))
        let both = chunk("data: \(Self.role)\n\n") + chunk("data: \(Self.failure)\n\n") + chunk("data: [DONE]\n\n")
        #expect(opening(both) == .failed(status: 500))
        #expect(opening(chunk("data: \(Self.role)\n\n") + chunk("data: \(Self.token)\n\n")) == .begun)
    }
}
