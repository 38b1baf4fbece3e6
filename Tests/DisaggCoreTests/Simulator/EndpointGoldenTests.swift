import Foundation
import Testing

@testable import DisaggCore

/// The newer endpoints of a simulated engine against what a real vLLM 0.24.0 sent (fixtures 19 and 20).
@Suite("Simulated responses and messages", .timeLimit(.minutes(1)))
struct EndpointGoldenTests {
    @Test(
        "streams have the events, members, order and nulls of the capture",
        arguments: ["19-responses-stream", "20-messages-stream"])
    func golden(name: String) async throws {
        let fixture = try GoldenTrafficTests.load("\(name).http")
        let lines = fixture.split(separator: "\n", maxSplits: 1)
        let request = GoldenTrafficTests.request(from: String(lines[0]))
        let captured = try #require(lines[1].firstRange(of: "\r\n\r\n").map { lines[1][$0.upperBound...] })
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { _, client in
            let response = try await client.send(
                request.method, request.path, body: request.body, headers: request.headers)
            #expect(response.isComplete && response.status == 200)
            #expect(Self.shape(response.body) == Self.shape(String(captured)))
            #expect(!response.body.contains("[DONE]"))
            let numbers = response.body.split(separator: "\n\n").compactMap { event -> Int? in
                let data = event.split(separator: "\n").last.map { String($0.dropFirst(6)) } ?? ""
                return (try? JSONView(parsing: data))?["sequence_number"]?.int
            }
            if name.hasPrefix("19") { #expect(numbers == Array(0..<numbers.count) && numbers.count > 7) }
        }
    }

    /// The events without ids, times, texts and numbers; deltas that follow each other count as one, since how many
    /// tokens show text differs.
    private static func shape(_ body: String) -> [String] {
        var events: [String] = []
        for event in body.split(separator: "\n\n") {
            var text = String(event)
            let patterns: [(Regex<AnyRegexOutput>, String)] = [
                (try? Regex(#""(id|item_id)":"[^"]*""#), #""$":"I""#), (try? Regex(#""created_at":\d+"#), "C"),
                (try? Regex(#""sequence_number":\d+"#), "N"), (try? Regex(#""(text|delta)":"([^"\\]|\\.)+""#), "T"),
                (try? Regex(#""(input|output|total)_tokens":\d+"#), "U"),
            ].compactMap { pattern, replacement in pattern.map { ($0, replacement) } }
            for (pattern, replacement) in patterns { text.replace(pattern, with: replacement) }
            if text != events.last { events.append(text) }
        }
        return events
    }

    @Test("whole answers hold the stream's text and counts")
    func whole() async throws {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.endProbability = 0
        try await withEngine(configuration) { _, client in
            let responses = try await client.post("/v1/responses", #"{"input":"hi","max_output_tokens":6}"#)
            let stream = try await client.post(
                "/v1/responses", #"{"input":"hi","max_output_tokens":6,"stream":true}"#)
            let text = try #require(responses.json?["output"]?[0]?["content"]?[0]?["text"]?.string)
            #expect(!text.isEmpty && stream.body.contains(#""text":\#(JSONString.encode(text))"#))
            #expect(responses.json?["usage"]?["output_tokens"]?.int == 6)
            #expect(responses.json?["status"]?.string == "incomplete")

            let question = #""messages":[{"role":"user","content":"Hello"}]"#
            let message = try await client.post("/v1/messages", #"{\#(question),"max_tokens":6}"#)
            let chat = try await client.post("/v1/chat/completions", #"{\#(question),"max_tokens":6}"#)
            #expect(
                message.json?["content"]?[0]?["text"]?.string
                    == chat.json?["choices"]?[0]?["message"]?["content"]?.string)
            #expect(message.json?["stop_reason"]?.string == "max_tokens")
            #expect(message.json?["usage"]?["input_tokens"]?.int == chat.json?["usage"]?["prompt_tokens"]?.int)

            let generated = try await client.post(
                "/inference/v1/generate", #"{"token_ids":[72,336,1029],"sampling_params":{"max_tokens":4}}"#)
            let completion = try await client.post(
                "/v1/completions", #"{"prompt":[72,336,1029],"max_tokens":4,"return_token_ids":true}"#)
            let tokens = generated.json?["choices"]?[0]?["token_ids"]?.integers
            #expect(tokens?.count == 4 && tokens == completion.json?["choices"]?[0]?["token_ids"]?.integers)
        }
    }

    @Test("a response is found again where it was made, and only there; errors have the endpoint's shape")
    func storedAndErrors() async throws {
        try await withEngine(SimulatedEngineConfiguration(role: .both, handoff: .none)) { _, client in
            let made = try await client.post("/v1/responses", #"{"input":"hi","max_output_tokens":2}"#)
            let id = try #require(made.json?["id"]?.string)
            #expect(try await client.get("/v1/responses/\(id)").body == made.body)
            #expect(try await client.get("/v1/responses/resp_other").status == 404)
            #expect(try await client.post("/v1/responses/\(id)/cancel", "").status == 400)
            #expect(try await client.post("/v1/responses/resp_other/cancel", "").status == 404)
            let refused = try await client.post("/v1/messages", #"{"messages":[]}"#)
            #expect(refused.status == 400 && refused.json?["type"]?.string == "error")
            let thinking = #""thinking":{"type":"enabled","budget_tokens":1024}"#
            let question = #""messages":[{"role":"user","content":"Hello"}]"#
            #expect(try await client.post("/v1/messages", #"{\#(question),"max_tokens":9,\#(thinking)}"#).status == 400)
            #expect(
                try await client.post("/v1/messages", #"{\#(question),"max_tokens":2000,\#(thinking)}"#).status == 200)
            let count = try await client.post("/v1/messages/count_tokens", #"{\#(question)}"#)
            #expect(count.body == #"{"input_tokens":18}"#)
        }
    }
}
