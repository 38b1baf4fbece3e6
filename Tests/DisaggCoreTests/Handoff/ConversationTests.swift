import NIOCore
import Testing

@testable import DisaggCore

/// Parameters that turns leave for the next one, and facts that engines tell.
@Suite("Conversations and engine facts")
struct ConversationTests {
    private static let key = ConversationTurns.Key(conversation: "c", authorization: "Bearer a")
    private static let parameters = ByteBuffer(string: #"{"remote_block_ids":[[1]]}"#)

    private static func print(_ text: String) throws -> ConversationTurns.Fingerprint {
        try #require(ConversationTurns.Fingerprint(ByteBuffer(string: text), bytes: text.utf8.count))
    }

    private static func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test("a turn is given once, to a prompt that continues it, before it expires")
    func turns() throws {
        var turns = ConversationTurns()
        func keep() throws {
            turns.keep(Self.parameters, of: Self.key, prompt: try Self.print(#"[{"a":1}"#), expires: Self.at(10))
        }
        let next = ByteBuffer(string: #"[{"a":1},{"b":2}"#)
        try keep()
        #expect(turns.take(Self.key, prompt: next, at: Self.at(9)) == Self.parameters)
        #expect(turns.take(Self.key, prompt: next, at: Self.at(9)) == nil)
        try keep()
        #expect(turns.take(Self.key, prompt: next, at: Self.at(10)) == nil)
        try keep()
        #expect(turns.take(Self.key, prompt: ByteBuffer(string: #"[{"x":1},{"b":2}"#), at: Self.at(1)) == nil)
        try keep()
        #expect(turns.take(Self.key, prompt: ByteBuffer(string: "[]"), at: Self.at(1)) == nil)
        try keep()
        let other = ConversationTurns.Key(conversation: "c", authorization: "Bearer b")
        #expect(turns.take(other, prompt: next, at: Self.at(1)) == nil)
        #expect(turns.take(Self.key, prompt: next, at: Self.at(1)) == Self.parameters && turns.count == 0)
    }

    @Test("the table is bounded: the oldest turn gives way, and what is too long is not kept")
    func bounded() throws {
        var turns = ConversationTurns()
        let fingerprint = try Self.print("[")
        let prompt = ByteBuffer(string: "[1")
        func key(_ index: Int) -> ConversationTurns.Key { .init(conversation: "\(index)", authorization: "") }
        for index in 0..<ConversationTurns.capacity + 10 {
            turns.keep(Self.parameters, of: key(index), prompt: fingerprint, expires: Self.at(10))
        }
        #expect(turns.count == ConversationTurns.capacity)
        #expect(turns.take(key(9), prompt: prompt, at: Self.at(1)) == nil)
        #expect(turns.take(key(10), prompt: prompt, at: Self.at(1)) != nil)
        // One conversation's many turns push nobody out for good, and take no room.
        for _ in 0..<3 * ConversationTurns.capacity {
            turns.keep(Self.parameters, of: key(-1), prompt: fingerprint, expires: Self.at(10))
        }
        #expect(turns.count <= ConversationTurns.capacity)
        #expect(turns.take(key(-1), prompt: prompt, at: Self.at(1)) != nil)
        let long = ByteBuffer(repeating: 0x20, count: ConversationTurns.maximumParameterBytes + 1)
        turns.keep(long, of: key(-2), prompt: fingerprint, expires: Self.at(10))
        #expect(turns.take(key(-2), prompt: prompt, at: Self.at(1)) == nil)
    }

    @Test("a conversation is named by a field or a member, and its prompt is taken without its end")
    func conversation() throws {
        func request(_ body: String, chat: Bool = true) throws -> GenerationRequest {
            try GenerationRequest(endpoint: chat ? .chatCompletions : .completions, body: ByteBuffer(string: body))
        }
        var headers = HeaderBlock()
        headers.add(name: "Authorization", value: "Bearer a")
        let first = try #require(
            Conversation(try request(#"{"conversation_id":"c","messages":[{"a":1} ]}"#), headers))
        #expect(first.key == Self.key && String(buffer: first.prompt) == #"[{"a":1}"#)
        headers.add(name: "X-Session-ID", value: "s")
        let named = Conversation(try request(#"{"conversation_id":"c","prompt":"abc"}"#, chat: false), headers)
        #expect(named?.key.conversation == "s")
        #expect(named.map { String(buffer: $0.prompt) } == "\"abc")
        #expect(Conversation(try request(#"{"messages":[{"a":1}]}"#), HeaderBlock()) == nil)
        #expect(Conversation(try request(#"{"conversation_id":7,"messages":[{"a":1}]}"#), HeaderBlock()) == nil)
        #expect(Conversation(try request(#"{"conversation_id":"c"}"#), HeaderBlock()) == nil)
    }

    @Test("a decoder's parameters are taken out of the answer, whole or streamed, and nothing else is changed")
    func recorder() throws {
        var kept: [String] = []
        let recorder = TurnRecorder { kept.append(String(buffer: $0)) }
        var output = ByteBuffer()
        for event in [
            #"{"id":"x","choices":[{"text":"kv_transfer_params"}]}"#,
            #"{"id":"x","kv_transfer_params":{"a":[1, 2],"n":null},"choices":[]}"#, "[DONE]",
        ] {
            Array(event.utf8).withUnsafeBytes { recorder.writeEvent($0, to: &output) }
        }
        #expect(
            String(buffer: output)
                == "data: {\"id\":\"x\",\"choices\":[{\"text\":\"kv_transfer_params\"}]}\n\n"
                + "data: {\"id\":\"x\",\"choices\":[]}\n\ndata: [DONE]\n\n")
        let whole = recorder.rewritten(ByteBuffer(string: #"{"kv_transfer_params":{"b":1},"z":1.0}"#))
        #expect(String(buffer: whole) == #"{"kv_transfer_params":null,"z":1.0}"#)
        let without = ByteBuffer(string: #"{"kv_transfer_params":null,"z":1.0}"#)
        #expect(recorder.rewritten(without) == without)
        #expect(kept == [#"{"a":[1, 2],"n":null}"#, #"{"b":1}"#])
    }

    @Test("Mooncake's engine ids are read by rank; what is no answer of a bootstrap server tells nothing")
    func mooncakeFacts() throws {
        let answer = #"{"0":{"engine_id":"a","worker_addr":{}},"1":{"engine_id":"b"},"x":{"engine_id":"c"},"2":{}}"#
        #expect(EngineFacts.mooncake(try JSONView(parsing: answer))?.engineIDs == [0: "a", 1: "b"])
        for text in ["{}", "[]", #"{"0":{"engine_id":7}}"#, #"{"-1":{"engine_id":"a"}}"#, "null"] {
            #expect(EngineFacts.mooncake(try JSONView(parsing: text)) == nil)
        }
    }

    @Test("a context server's place is taken as it is written")
    func tensorRTFacts() throws {
        let nested = #"{"disaggregated_params":{"ctx_info_endpoint":["tcp://a:1" ]}}"#
        #expect(EngineFacts.tensorRT(try JSONView(parsing: nested))?.contextEndpoint == #"["tcp://a:1" ]"#)
        let flat = #"{"ctx_info_endpoint":"tcp://a:1"}"#
        #expect(EngineFacts.tensorRT(try JSONView(parsing: flat))?.contextEndpoint == #""tcp://a:1""#)
        #expect(EngineFacts.tensorRT(try JSONView(parsing: #"{"ctx_info_endpoint":null}"#)) == nil)
    }
}
