import NIOCore
import Testing

@testable import DisaggCore

/// A stream whose decoder dies goes on elsewhere: what is remembered, hidden and asked.
@Suite("Resumed streams")
struct StreamRecorderTests {
    private static func request(_ members: String, chat: Bool = false) throws -> GenerationRequest {
        let input = chat ? #""messages":[]"# : #""prompt":"a""#
        return try GenerationRequest(
            endpoint: chat ? .chatCompletions : .completions,
            body: ByteBuffer(string: "{\(input),\(members)}"))
    }

    private static func feed(_ recorder: StreamRecorder, _ events: [String]) -> [String] {
        var output = ByteBuffer()
        for event in events { Array(event.utf8).withUnsafeBytes { recorder.writeEvent($0, to: &output) } }
        return String(buffer: output).components(separatedBy: "\n\n").filter { !$0.isEmpty }.map {
            String($0.dropFirst(6))
        }
    }

    private static let first =
        #"{"id":"cmpl-1","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"x","finish_reason":null,"prompt_token_ids":[1,2],"token_ids":[7]}]}"#
    private static let second =
        #"{"id":"cmpl-1","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"y","finish_reason":null,"prompt_token_ids":null,"token_ids":[8,9]}]}"#

    @Test(
        "a stream that another decoder could not continue is not recorded",
        arguments: [
            #""stream":true"#, #""temperature":0.1,"stream":true"#, #""temperature":0"#,
            #""temperature":0,"stream":false"#,
            #""temperature":0,"stream":true,"n":2"#, #""temperature":0,"stream":true,"best_of":2"#,
            #""temperature":0,"stream":true,"stop":"x""#, #""temperature":0,"stream":true,"stop":["x"]"#,
            #""temperature":0,"stream":true,"seed":1"#, #""temperature":0,"stream":true,"logprobs":1"#,
            #""temperature":0,"stream":true,"presence_penalty":0.5"#, #""temperature":0,"stream":true,"echo":true"#,
            #""temperature":0,"stream":true,"repetition_penalty":1.5"#,
            #""temperature":0,"stream":true,"return_token_ids":true"#,
            #""temperature":0,"stream":true,"response_format":{"type":"json_object"}"#,
            #""temperature":0,"stream":true,"tools":[{"type":"function"}]"#,
            #""temperature":0,"stream":true,"stream_options":{"continuous_usage_stats":true}"#,
        ], [false, true])
    func limits(members: String, isChat: Bool) throws {
        #expect(StreamRecorder(try Self.request(members, chat: isChat)) == nil)
    }

    @Test("what is not known cannot be continued: no token ids, or no limit")
    func unknown() throws {
        let members = #""temperature":0,"stream":true"#
        let recorder = try #require(StreamRecorder(try Self.request(members + #","max_tokens":9"#)))
        _ = Self.feed(recorder, [Self.first.replacing(#","prompt_token_ids":[1,2]"#, with: "")])
        #expect(recorder.continuation(contextLength: 100) == nil)
        let reached = try #require(StreamRecorder(try Self.request(members + #","max_tokens":3"#)))
        _ = Self.feed(reached, [Self.first, Self.second])
        #expect(reached.continuation(contextLength: 100) == nil)
        let chat = try #require(StreamRecorder(try Self.request(members, chat: true)))
        _ = Self.feed(
            chat,
            [
                #"{"id":"c","created":5,"model":"m","prompt_token_ids":[1,2],"choices":[{"index":0,"delta":{"content":"x"},"token_ids":[7]}]}"#
            ])
        #expect(chat.continuation(contextLength: nil) == nil)
        #expect(chat.continuation(contextLength: 100) != nil)
        let other = try GenerationRequest(
            endpoint: .messages, body: ByteBuffer(string: #"{"messages":[],"max_tokens":3,\#(members)}"#))
        #expect(StreamRecorder(other) == nil)
    }

    @Test("ids that the client did not ask for are hidden, everything else stays")
    func hiding() throws {
        let recorder = try #require(StreamRecorder(try Self.request(#""temperature":0,"stream":true"#)))
        #expect(
            Self.feed(recorder, [Self.first, Self.second, "[DONE]", #"{"error":{"message":"m"}}"#]) == [
                Self.first.replacing("[1,2]", with: "null").replacing("[7]", with: "null"),
                Self.second.replacing("[8,9]", with: "null"), "[DONE]", #"{"error":{"message":"m"}}"#,
            ])
    }

    @Test("a broken stream goes on behind its tokens, with what is left of its limits")
    func continuing() throws {
        let recorder = try #require(
            StreamRecorder(
                try Self.request(#""temperature":0.0,"stream":true,"max_tokens":10,"min_tokens":5,"seedless":1"#)))
        #expect(!recorder.canContinue)
        _ = Self.feed(recorder, [Self.first, Self.second])
        let continuation = try #require(recorder.continuation(contextLength: nil))
        #expect(continuation.leg.path == "/v1/completions")
        #expect(
            continuation.leg.body.map { String(buffer: $0) }.joined()
                == #"{"prompt":[1,2,7,8,9],"temperature":0.0,"stream":true,"max_tokens":7,"min_tokens":2,"seedless":1}"#
        )
        var output = ByteBuffer()
        let event =
            #"{"id":"cmpl-2","object":"text_completion","created":6,"model":"m","choices":[{"index":0,"text":"z","finish_reason":"length"}]}"#
        let usage = #"{"id":"cmpl-2","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#
        for text in [event, usage] {
            Array(text.utf8).withUnsafeBytes { continuation.merge.writeEvent($0, to: &output) }
        }
        let text = String(buffer: output)
        #expect(text.contains(#""id":"cmpl-1","object":"text_completion","created":5"#) && !text.contains("cmpl-2"))
        #expect(text.contains(#""prompt_tokens":2"#) && text.contains(#""completion_tokens":10"#))
        #expect(text.contains(#""total_tokens":12"#))
    }

    @Test("a chat goes on as a completion of ids whose texts are contents")
    func chat() throws {
        let recorder = try #require(
            StreamRecorder(try Self.request(#""temperature":0,"stream":true"#, chat: true)))
        _ = Self.feed(
            recorder,
            [
                #"{"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"prompt_token_ids":[1,2]}"#,
                #"{"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"token_ids":[7]}]}"#,
            ])
        // Without a limit the rest of the context is allowed, and that must be known.
        #expect(recorder.continuation(contextLength: nil) == nil)
        let continuation = try #require(recorder.continuation(contextLength: 12))
        #expect(
            continuation.leg.body.map { String(buffer: $0) }.joined()
                == #"{"temperature":0,"stream":true,"prompt":[1,2,7],"max_tokens":9}"#)
        var output = ByteBuffer()
        let event = #"{"id":"d","created":6,"model":"m","choices":[{"index":0,"text":"z","finish_reason":null}]}"#
        Array(event.utf8).withUnsafeBytes { continuation.merge.writeEvent($0, to: &output) }
        let view = try JSONView(parsing: String(String(buffer: output).dropFirst(6).dropLast(2)))
        #expect(view["id"]?.string == "c" && view["choices"]?[0]?["delta"]?["content"]?.string == "z")
    }

    @Test("what cannot be continued is not: finished, at its limit, without ids")
    func notContinuing() throws {
        let finished = Self.second.replacing(#""finish_reason":null"#, with: #""finish_reason":"stop""#)
        let cases: [(String, [String])] = [
            (#""temperature":0,"stream":true,"max_tokens":10"#, [Self.first, finished]),
            (#""temperature":0,"stream":true,"max_tokens":3"#, [Self.first, Self.second]),
            (#""temperature":0,"stream":true"#, [Self.second]),
            (#""temperature":0,"stream":true"#, [Self.first.replacing("[7]", with: "[\"7\"]")]),
            (#""temperature":0,"stream":true"#, []),
        ]
        for (members, events) in cases {
            let recorder = try #require(StreamRecorder(try Self.request(members)))
            _ = Self.feed(recorder, events)
            #expect(recorder.continuation(contextLength: 300) == nil)
        }
    }

    @Test(
        "requests whose next token is no function of the ones before are not recorded",
        arguments: [
            #""stream":true"#, #""temperature":0.1,"stream":true"#, #""temperature":0"#,
            #""temperature":null,"stream":true"#,
            #""temperature":0,"stream":true,"n":2"#, #""temperature":0,"stream":true,"logprobs":1"#,
            #""temperature":0,"stream":true,"tools":[{}]"#, #""temperature":0,"stream":true,"stop":"x""#,
        ])
    func unfit(members: String) throws {
        #expect(StreamRecorder(try Self.request(members)) == nil)
    }

    @Test("the decode leg asks for ids")
    func asking() throws {
        let leg = LegRequest(path: "/", body: [ByteBuffer(string: #"{"a":1"#), ByteBuffer(string: #","b":2}"#)])
        #expect(
            StreamRecorder.asking(leg).body.map { String(buffer: $0) } == [#"{"a":1,"b":2,"return_token_ids":true}"#])
    }
}
