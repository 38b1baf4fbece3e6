import Foundation
import Testing

@testable import DisaggCore

/// The captured answers of a real vLLM 0.24.0, in `Tests/Fixtures/vllm-0.24.0`.
@Suite("Simulated engine bytes", .timeLimit(.minutes(3)))
struct GoldenTrafficTests {
    /// Names of fixtures whose answer the decode server of the capture gave to the request in the first line.
    private static let names = [
        "01-health", "02-version", "03-models", "04-load", "05-ping", "06-tokenize-prompt", "07-tokenize-messages",
        "08-completion", "09-completion-stream", "10-error-n-greedy", "11-chat-logprobs", "12-chat-stream-usage",
        "13-error-unknown-model", "14-error-bad-json", "15-error-negative-max-tokens", "16-error-max-tokens-too-large",
        "17-error-not-found", "18-error-method",
    ]

    @Test("are those of the captured vLLM, but for ids, times, texts and log probabilities", arguments: names)
    func golden(name: String) async throws {
        let fixture = try Self.load("\(name).http")
        let lines = fixture.split(separator: "\n", maxSplits: 1)
        let request = Self.request(from: String(lines[0]))
        let expected = Self.normalised(String(lines[1]))
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.speed = 0
        try await withEngine(configuration) { _, client in
            let response = try await client.send(
                request.method, request.path, body: request.body, headers: request.headers)
            #expect(response.isComplete)
            let head = ([response.statusLine] + response.headers.map { "\($0.name): \($0.value)" })
                .joined(separator: "\r\n")
            #expect(Self.normalised(head + "\r\n\r\n" + response.body) == expected)
        }
    }

    @Test("one event is one chunk, one chunk a token")
    func framing() async throws {
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { _, client in
            let response = try await client.post(
                "/v1/completions", #"{"prompt":"Hello","max_tokens":5,"ignore_eos":true,"stream":true}"#)
            #expect(response.chunks.count == 6)
            #expect(response.chunks.allSatisfy { $0.hasPrefix("data: ") && $0.hasSuffix("\n\n") })
        }
    }

    @Test("LMCache prefill answers carry what was captured", arguments: ["completion", "chat"])
    func prefillAnswer(endpoint: String) async throws {
        let file = endpoint == "chat" ? "32-lmcache-prefill-chat.json" : "31-lmcache-prefill-completion.json"
        // The captured prompts were longer than ours.
        func withoutUsage(_ text: String) -> String {
            guard let start = text.firstRange(of: "\"usage\":{")?.upperBound else { return text }
            return String(text[..<start]) + String(text[start...].drop { $0 != "}" })
        }
        let expected = withoutUsage(Self.normalised(try Self.load(file)))
        let pair = try await LMCachePair()
        let transfer = #""kv_transfer_params":{"ret_first_tok":true,"disagg_spec":\#(pair.spec("a"))}"#
        let body =
            endpoint == "chat"
            ? #"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":1,"ignore_eos":true,"return_token_ids":true,\#(transfer)}"#
            : #"{"prompt":"Hello","max_tokens":1,"ignore_eos":true,\#(transfer)}"#
        let response = try await pair.prefill.post(
            endpoint == "chat" ? "/v1/chat/completions" : "/v1/completions", body)
        #expect(withoutUsage(Self.normalised(response.body)) == expected)
        await pair.shutdown()
    }

    // MARK: Reading fixtures

    static func load(_ name: String) throws -> String {
        let path =
            String("\(#filePath)".split(separator: "/").dropLast(3).map { "/" + $0 }.joined())
            + "/Fixtures/vllm-0.24.0/\(name)"
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    /// The `curl` line of a fixture as a request.
    static func request(from line: String) -> (method: String, path: String, headers: [String], body: String?) {
        var method = "GET"
        var headers: [String] = []
        var body: String?
        var rest = Substring(line)
        if let data = rest.range(of: " -d ") {
            body = String(rest[data.upperBound...])
            rest = rest[..<data.lowerBound]
            method = "POST"
        }
        if let range = rest.range(of: "-X ") { method = String(rest[range.upperBound...].prefix { $0 != " " }) }
        if let range = rest.range(of: "X-Request-Id: ") { headers = ["X-Request-Id: \(rest[range.upperBound...])"] }
        let url = rest.range(of: "http://HOST").map { rest[$0.upperBound...].prefix { $0 != " " } } ?? ""
        return (method, String(url), headers, body)
    }

    /// Replaces what legitimately differs: ids, times, texts, token ids, log probabilities and the lengths they make.
    static func normalised(_ text: String) -> String {
        var result = text
        let patterns: [(Regex<AnyRegexOutput>, String)] = [
            (try? Regex(#"(?i)date: [^\r\n]*"#), "date: D"),
            (try? Regex(#"content-length: [1-9]\d*"#), "content-length: N"),
            (try? Regex(#""created":\d+"#), #""created":0"#), (try? Regex(#"(cmpl|modelperm)-[0-9a-f]+"#), "$-ID"),
            (try? Regex(#""text":"([^"\\]|\\.)+""#), #""text":"T""#),
            (try? Regex(#""content":"([^"\\]|\\.)+""#), #""content":"T""#),
            (try? Regex(#""token":"([^"\\]|\\.)+""#), #""token":"T""#),
            (try? Regex(#""root":"[^"]*""#), #""root":"R""#),
            (try? Regex(#""logprob":-?[\d.e-]+"#), #""logprob":0"#),
            (try? Regex(#""first_tok":\d+"#), #""first_tok":0"#),
            (try? Regex(#""bytes":\[[\d,]*\]"#), #""bytes":[0]"#),
            (try? Regex(#""token_ids":\[[\d,]*\]"#), #""token_ids":[0]"#),
            (try? Regex(#""prompt_token_ids":\[[\d,]*\]"#), #""prompt_token_ids":[0]"#),
        ].compactMap { pattern, replacement in pattern.map { ($0, replacement) } }
        for (pattern, replacement) in patterns { result.replace(pattern, with: replacement) }
        return result.trimmed
    }
}

extension StringProtocol {
    /// Without line ends at the end.
    fileprivate var trimmed: String {
        var text = String(self)
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }
}
