import NIOCore
import Testing

@testable import DisaggCore

/// The prefill leg of each endpoint, byte for byte.
@Suite("Rewriting by endpoint")
struct EndpointRewritingTests {
    private typealias Endpoint = GenerationRequest.Endpoint

    private static func prefill(_ endpoint: Endpoint, _ body: String, endsByLength: Bool = false) throws -> String {
        let request = try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body))
        let splice = LegRewriting.prefill(for: request, endsByLength: endsByLength)
        return splice.apply(to: request.body, request.table).map { String(buffer: $0) }.joined()
    }

    private static let kept = #""seed":9223372036854775807,"x":123456789012345678901234567890,"nul":null ,"y" : [ 1 ]"#

    @Test("responses: max_output_tokens is 1, nothing is stored, nothing runs in the background")
    func responses() throws {
        let body =
            #"{"model":"m","input":"a","max_output_tokens":9,\#(Self.kept),"stream":true,"background":true,"#
            + #""store":true,"top_logprobs":3,"include":["message.output_text.logprobs"],"kv_transfer_params":{"a":1}}"#
        #expect(
            try Self.prefill(.responses, body)
                == #"{"model":"m","input":"a","max_output_tokens":1,\#(Self.kept),"stream":false,"store":false,"#
                + #""include":["message.output_text.logprobs"]}"#)
        #expect(
            try Self.prefill(.responses, #"{"input":"a"}"#)
                == #"{"input":"a","max_output_tokens":1,"stream":false,"store":false}"#)
    }

    @Test("messages: a thinking budget goes with the limit it needs; other thinking stays, it shapes the prompt")
    func messages() throws {
        let messages = #""messages":[{"role":"user","content":"a"}]"#
        #expect(
            try Self.prefill(
                .messages,
                #"{\#(messages),"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":2048},"stream":true,\#(Self.kept)}"#
            ) == #"{\#(messages),"max_tokens":1,"stream":false,\#(Self.kept)}"#)
        for thinking in [#"{"type":"disabled"}"#, #"{"type":"adaptive"}"#] {
            #expect(
                try Self.prefill(.messages, #"{\#(messages),"max_tokens":9,"thinking":\#(thinking)}"#)
                    == #"{\#(messages),"max_tokens":1,"thinking":\#(thinking),"stream":false}"#)
        }
    }

    @Test("generate: the members of sampling_params change, and only they")
    func generate() throws {
        let body =
            #"{"token_ids":[1, 2],"sampling_params":{"max_tokens":7,"min_tokens":3,"n":2,"logprobs":1,\#(Self.kept)},"#
            + #""stream":true,"stream_options":{"include_usage":true},"max_tokens":5}"#
        #expect(
            try Self.prefill(.generate, body)
                == #"{"token_ids":[1, 2],"sampling_params":{"max_tokens":1,\#(Self.kept)},"stream":false,"max_tokens":5}"#
        )
        #expect(
            try Self.prefill(.generate, #"{"token_ids":[1]}"#)
                == #"{"token_ids":[1],"stream":false,"sampling_params":{"max_tokens":1}}"#)
        // What is no object is for the engine to judge.
        #expect(
            try Self.prefill(.generate, #"{"token_ids":[1],"sampling_params":7}"#)
                == #"{"token_ids":[1],"sampling_params":7,"stream":false}"#)
    }

    @Test("a prefill that must end by its length ignores the end of the text and has no stop tokens")
    func endsByLength() throws {
        #expect(
            try Self.prefill(.completions, #"{"prompt":"a","stop_token_ids":[7],"stop":"x"}"#, endsByLength: true)
                == #"{"prompt":"a","stop":"x","max_tokens":1,"stream":false,"ignore_eos":true}"#)
        #expect(
            try Self.prefill(.responses, #"{"input":"a","ignore_eos":false}"#, endsByLength: true)
                == #"{"input":"a","ignore_eos":true,"max_output_tokens":1,"stream":false,"store":false}"#)
        #expect(
            try Self.prefill(
                .generate, #"{"token_ids":[1],"sampling_params":{"stop_token_ids":[7]}}"#, endsByLength: true)
                == #"{"token_ids":[1],"sampling_params":{"max_tokens":1,"ignore_eos":true},"stream":false}"#)
        for endpoint in Endpoint.allCases {
            let request = try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: "{}"))
            #expect(LegRewriting.canEndByLength(request) == (endpoint != .messages))
        }
    }

    @Test("each endpoint's own limit, choices and prompt are read")
    func reading() throws {
        func read(_ endpoint: Endpoint, _ body: String) throws -> GenerationRequest {
            try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body))
        }
        let responses = try read(.responses, #"{"input":"a","max_output_tokens":7,"max_tokens":3,"n":4}"#)
        #expect(responses.tokenLimit == 7 && responses.choices == 1)
        let messages = try read(.messages, #"{"messages":[],"max_tokens":8}"#)
        #expect(messages.tokenLimit == 8)
        let generate = try read(
            .generate,
            #"{"token_ids":[1,2,3],"max_tokens":1,"sampling_params":{"max_tokens":9,"n":3,"min_tokens":2}}"#)
        #expect(generate.tokenLimit == 9 && generate.choices == 3 && generate.minimumTokens == 2)
        #expect(generate.promptShape == .tokens && generate.promptTokens(bytesPerToken: 4) == 3)
        #expect(try read(.completions, #"{"prompt":[5,6,7,8]}"#).promptTokens(bytesPerToken: 4) == 4)
        #expect(try read(.completions, #"{"prompt":"12345678"}"#).promptTokens(bytesPerToken: 4) == 3)
    }

    @Test(
        "what the decoder alone must answer says why",
        arguments: [
            (Endpoint.responses, #"{}"#, HandoffReason.noPrompt),
            (.responses, #"{"input":"a","previous_response_id":"resp_1"}"#, .storedResponse),
            (.responses, #"{"input":"a","tools":[{"type":"function"},{"type":"web_search"}]}"#, .engineTools),
            (.responses, #"{"input":"a","max_output_tokens":0}"#, .invalidLimit),
            (.messages, #"{"messages":[],"max_tokens":-1}"#, .invalidLimit),
            (.generate, #"{"sampling_params":{}}"#, .noPrompt),
            (.generate, #"{"token_ids":[1],"sampling_params":{"prompt_logprobs":2}}"#, .promptLogprobs),
            (.generate, #"{"token_ids":[1],"sampling_params":{"max_tokens":"7"}}"#, .invalidLimit),
        ])
    func alone(endpoint: GenerationRequest.Endpoint, body: String, reason: HandoffReason) throws {
        let request = try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body))
        #expect(LegRewriting.commonReason(request) == reason)
    }

    @Test("tools that the client runs do not keep a response from being handed off")
    func clientTools() throws {
        for tools in ["[]", "null", #"[{"type":"function","name":"a"},{"name":"b","type":"custom"}]"#] {
            let request = try GenerationRequest(
                endpoint: .responses, body: ByteBuffer(string: #"{"input":"a","tools":\#(tools)}"#))
            #expect(LegRewriting.commonReason(request) == nil)
        }
    }

    @Test("errors have the shape of the endpoint, as a body and as the end of a stream")
    func errors() throws {
        let error = DisaggError(.unavailable, "no \"engine\"", parameter: "x")
        func body(_ endpoint: Endpoint) -> String { String(buffer: endpoint.errorBody(error)) }
        func events(_ endpoint: Endpoint) -> String {
            String(buffer: endpoint.errorEvents(error, lastSequenceNumber: 4))
        }
        for endpoint in [Endpoint.completions, .chatCompletions, .generate] {
            #expect(events(endpoint) == "data: \(body(endpoint))\n\ndata: [DONE]\n\n")
        }
        #expect(
            body(.responses)
                == #"{"error":{"message":"no \"engine\"","type":"ServiceUnavailableError","param":"x","code":503}}"#)
        #expect(
            events(.responses)
                == "event: error\ndata: "
                + #"{"type":"error","code":"ServiceUnavailableError","message":"no \"engine\"","param":"x","sequence_number":5}"#
                + "\n\n")
        #expect(
            body(.messages)
                == #"{"type":"error","error":{"type":"overloaded_error","message":"no \"engine\""}}"#)
        #expect(events(.messages) == "event: error\ndata: \(body(.messages))\n\n")
        let late = ByteBuffer(string: "{\n  \"type\": \"error\"\r\n}")
        #expect(
            String(buffer: Endpoint.messages.errorEvents(engineBody: late))
                == "event: error\ndata: {   \"type\": \"error\"  }\n\n")
    }

    @Test(
        "the last sequence number of a piece is found from its end",
        arguments: [
            ("", nil), (#"{"sequence_number":3,"type":"a"}"#, 3),
            (#"x"sequence_number":1}y"sequence_number":27}"#, 27), (#""sequence_number":"#, nil),
            (#"{"delta":"\"sequence_number\":9","sequence_number":2}"#, 2),
            (#"{"sequence_number":2,"delta":"\"sequence_number\":9"}"#, 2),
            (#"{"sequence_number":99999999999999999999}"#, 999_999_999_999_999_999),
        ] as [(String, Int?)])
    func sequenceNumbers(text: String, number: Int?) {
        let found = Array(text.utf8).withUnsafeBytes { SequenceNumber.last(in: $0) }
        #expect(found == number)
    }
}
