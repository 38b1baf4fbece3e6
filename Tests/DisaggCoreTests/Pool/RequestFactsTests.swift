import NIOCore
import Testing

@testable import DisaggCore

@Suite("Request facts")
struct RequestFactsTests {
    private func facts(
        _ body: String, _ needs: FactSet = [.tokens, .sessionKey, .prefixKeys, .tokenIDs],
        endpoint: GenerationRequest.Endpoint = .completions, headers: [(String, String)] = [],
        hasChoice: Bool = true
    ) throws -> RequestFacts {
        var admission = AdmissionSettings()
        admission.priorityHeader = "x-priority"
        let reader = RequestFactsReader(
            needs: needs, model: "m", session: SessionSettings(), admission: admission)
        var block = HeaderBlock()
        for (name, value) in headers { block.add(name: name, value: value) }
        var facts = RequestFacts()
        reader.read(
            try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: body)), from: reader.origin(of: block),
            hasChoice: hasChoice, into: &facts)
        return facts
    }

    private static func chat(_ turns: [(String, String)], _ more: String = "") -> String {
        let messages = turns.map { #"{"role":"\#($0.0)","content":"\#($0.1)"}"# }.joined(separator: ",")
        return #"{"model":"m","messages":[\#(messages)]\#(more)}"#
    }

    @Test("token ids are counted and read exactly, text is estimated")
    func tokens() throws {
        let ids = try facts(#"{"model":"m","prompt":[1, 20,300],"max_tokens":9}"#)
        #expect(ids.promptTokens == 3 && ids.tokenIDs == [1, 20, 300] && ids.outputLimit == 9 && ids.lora == nil)
        let text = try facts(#"{"model":"sql","prompt":"0123456789012345678901234567890123456789"}"#)
        #expect(text.promptTokens == 10 && text.tokenIDs.isEmpty)
        #expect(try facts(#"{"model":"sql","prompt":[7]}"#).lora == "sql")
        #expect(try facts(#"{"model":"m"}"#).promptTokens == 0)
    }

    @Test("what no policy needs is not computed")
    func needs() throws {
        let facts = try facts(Self.chat([("user", String(repeating: "x", count: 4000))]), [])
        #expect(facts.promptTokens == 0 && facts.prefixKeys.isEmpty && facts.sessionKey == nil)
    }

    @Test("a prompt is not hashed where there is one backend of each role")
    func noChoice() throws {
        let body = Self.chat([("user", String(repeating: "x", count: 4000))])
        let facts = try facts(body, endpoint: .chatCompletions, hasChoice: false)
        #expect(facts.prefixKeys.isEmpty && facts.promptTokens > 1000 && facts.sessionKey != nil)
        #expect(PoolSnapshot(generation: 0, prefill: [], decode: []).hasChoice == false)
    }

    @Test("a session is told by header, then user, then the conversation's beginning")
    func session() throws {
        let first = [("system", "be kind"), ("user", "hello")]
        let second = first + [("assistant", "hi"), ("user", "more")]
        func key(_ body: String, _ headers: [(String, String)] = []) throws -> UInt64? {
            try facts(body, .sessionKey, endpoint: .chatCompletions, headers: headers).sessionKey
        }
        #expect(try key(Self.chat(first)) == key(Self.chat(second)))
        #expect(try key(Self.chat(first)) != key(Self.chat([("system", "be kind"), ("user", "bye")])))
        let user = #","user":"u1""#
        #expect(try key(Self.chat(first, user)) == key(Self.chat([("user", "other")], user)))
        let header = [("X-Session-Id", "s1")]
        #expect(try key(Self.chat(first, user), header) == key(Self.chat([("user", "other")]), header))
        #expect(try key(Self.chat(first), header) != key(Self.chat(first), [("x-session-id", "s2")]))
    }

    @Test("a later turn begins with the keys of the earlier; salts and models are kept apart")
    func prefixes() throws {
        let long = String(repeating: "a", count: 1500)
        let first = [("user", long)]
        let second = first + [("assistant", long), ("user", "more")]
        let one = try facts(Self.chat(first), endpoint: .chatCompletions).prefixKeys
        let two = try facts(Self.chat(second), endpoint: .chatCompletions).prefixKeys
        #expect(one.count == 5 && two.starts(with: one) && two.count > one.count)
        let salted = try facts(Self.chat(first, #","cache_salt":"x""#), endpoint: .chatCompletions).prefixKeys
        #expect(salted.first != one.first)
    }

    @Test("tenants and priorities come from headers")
    func origin() {
        let reader = RequestFactsReader(
            needs: [], model: "m", session: SessionSettings(), admission: AdmissionSettings())
        func origin(_ headers: [(String, String)]) -> RequestOrigin {
            var block = HeaderBlock()
            for (name, value) in headers { block.add(name: name, value: value) }
            return reader.origin(of: block)
        }
        #expect(origin([]) == RequestOrigin())
        #expect(origin([("Authorization", "Bearer a")]).tenant != origin([("authorization", "Bearer b")]).tenant)
        #expect(origin([("X-Disagg-Priority", "-5")]).priority == -5)
        #expect(origin([("x-disagg-priority", "99999999")]).priority == 1000)
        #expect(origin([("x-disagg-priority", "soon")]).priority == 0)
    }
}
