import NIOCore
import Testing

@testable import DisaggCore

/// Requests for several prompts or choices as single ones, and back.
@Suite("Splitting of prompts and choices")
struct RequestSplitTests {
    private static func request(_ body: String, chat: Bool = false) throws -> GenerationRequest {
        try GenerationRequest(endpoint: chat ? .chatCompletions : .completions, body: ByteBuffer(string: body))
    }

    private static func split(_ body: String, chat: Bool = false, limit: Int = 64) throws -> RequestSplit {
        let outcome = RequestSplit.split(try request(body, chat: chat), maximumParts: limit)
        guard case .split(let split) = outcome else { throw DisaggError(.badRequest, "\(outcome)") }
        return split
    }

    @Test("each part has one prompt as the client wrote it, and no n; other members stay")
    func parts() throws {
        let split = try Self.split(#"{"a":1.0,"prompt":["x", [1, 2] ,"é\u0041"],"n":2,"best_of":2,"z":null}"#)
        #expect(split.count == 6 && split.choices == 2)
        let bodies = try (0..<3).map { String(buffer: try split.request(prompt: $0).body) }
        #expect(
            bodies == [
                #"{"a":1.0,"prompt":"x","z":null}"#, #"{"a":1.0,"prompt":[1, 2],"z":null}"#,
                #"{"a":1.0,"prompt":"é\u0041","z":null}"#,
            ])
        #expect((0..<6).map(split.prompt(of:)) == [0, 0, 1, 1, 2, 2])
        #expect((0..<6).map(split.isFirstOfPrompt) == [true, false, true, false, true, false])
        let chat = try Self.split(#"{"messages":[],"n":3}"#, chat: true)
        #expect(chat.count == 3)
        #expect(String(buffer: try chat.request(prompt: 0).body) == #"{"messages":[]}"#)
        // A name given twice: the last one counts, and one is left.
        let twice = try Self.split(#"{"prompt":"a","prompt":["b","c"]}"#)
        #expect(String(buffer: try twice.request(prompt: 1).body) == #"{"prompt":"c"}"#)
    }

    @Test(
        "what only one engine can answer says why",
        arguments: [
            (#"{"prompt":"a","n":2,"seed":1}"#, HandoffReason.seededChoices),
            (#"{"prompt":"a","n":2,"best_of":4}"#, .bestOf), (#"{"prompt":"a","best_of":2}"#, .bestOf),
            (#"{"prompt":"a","n":2,"temperature":0}"#, .severalChoices),
            (#"{"prompt":"a","n":0}"#, .severalChoices), (#"{"prompt":"a","n":"2"}"#, .severalChoices),
            (#"{"prompt":["a","b"],"n":40}"#, .tooManyParts),
            (#"{"prompt":"a","n":9223372036854775807}"#, .tooManyParts),
            (#"{"prompt":["a","b"],"n":9223372036854775807}"#, .tooManyParts),
            (#"{"prompt":[\#((0..<65).map { "\"\($0)\"" }.joined(separator: ","))]}"#, .tooManyParts),
        ])
    func alone(body: String, reason: HandoffReason) throws {
        let outcome = RequestSplit.split(try Self.request(body), maximumParts: 64)
        guard case .alone(let why) = outcome else {
            Issue.record("split: \(body)")
            return
        }
        #expect(why == reason)
    }

    @Test("SGLang's own requests: one sample of every prompt a part, and answers in the order of the prompts")
    func native() throws {
        let request = try GenerationRequest(
            endpoint: .native,
            body: ByteBuffer(
                string: #"{"text":["a","b"],"rid":"r","sampling_params":[{"n":2,"x":1},{"x":2,"n":2}],"z":3}"#))
        #expect(request.choices == 2)
        guard case .split(let split) = RequestSplit.split(request, maximumParts: 8) else {
            Issue.record("not split")
            return
        }
        #expect(split.count == 2)
        #expect(
            String(buffer: try split.request(prompt: 0).body)
                == #"{"text":["a","b"],"sampling_params":[{"x":1},{"x":2}],"z":3}"#)
        func merged(_ bodies: String...) -> String? {
            PartAnswerMerge.merge(bodies.map { ByteBuffer(string: $0) }, of: split, id: "x").map { String(buffer: $0) }
        }
        #expect(
            merged(#"[{"t":"a0"},{"t":"b0"}]"#, #"[{"t":"a1"} , {"t":"b1"}]"#)
                == #"[{"t":"a0"},{"t":"a1"},{"t":"b0"},{"t":"b1"}]"#)
        #expect(merged(#"{"t":"a0"}"#, #"{"t":"a1"}"#) == #"[{"t":"a0"},{"t":"a1"}]"#)
        #expect(merged("[1]", "[]") == nil && merged("[]", "[]") == nil && merged("no", "no") == nil)
        var merge = PartStreamMerge(id: "x", samples: 2)
        var output = ByteBuffer()
        for (part, data) in [(1, #"{"text":"b","index":1}"#), (0, #"{"text":"a"}"#), (1, "[DONE]")] {
            let outcome = Array(data.utf8).withUnsafeBytes {
                merge.write($0, index: part, countsPrompt: true, to: &output)
            }
            #expect(outcome == .goesOn)
        }
        merge.writeEnd(to: &output)
        #expect(
            String(buffer: output)
                == "data: {\"text\":\"b\",\"index\":3}\n\ndata: {\"text\":\"a\",\"index\":0}\n\ndata: [DONE]\n\n")
    }

    @Test("a seed does not keep a list of prompts with one choice each from being split")
    func seededList() throws { #expect(try Self.split(#"{"prompt":["a","b"],"seed":1}"#).count == 2) }

    @Test("streams become one: indexes, one id and created, the usage of all once, one end")
    func streams() throws {
        var merge = PartStreamMerge(id: "cmpl-x")
        var output = ByteBuffer()
        func feed(_ part: Int, _ json: String, countsPrompt: Bool = true) -> PartStreamMerge.Outcome {
            Array(json.utf8).withUnsafeBytes {
                merge.write($0, index: part, countsPrompt: countsPrompt, to: &output)
            }
        }
        #expect(feed(1, #"{"id":"b","created":5,"choices":[{"index":0,"text":"\"index\":0"}]}"#) == .goesOn)
        #expect(feed(0, #"{"choices":[{"text":"q","index":0}],"created":9,"id":"a"}"#) == .goesOn)
        #expect(feed(1, #"{"choices":[{"text":"no index"}]}"#) == .goesOn)
        // The part whose prompt does not count comes first.
        for part in [1, 0, 2] {
            let usage =
                #"{"prompt_tokens":10,"total_tokens":14,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}"#
            #expect(
                feed(part, #"{"id":"u","created":1,"choices":[],"usage":\#(usage)}"#, countsPrompt: part != 1)
                    == .goesOn)
            #expect(feed(part, "[DONE]") == .goesOn)
        }
        merge.writeEnd(to: &output)
        #expect(
            String(buffer: output).split(separator: "\n\n").map(String.init) == [
                #"data: {"id":"cmpl-x","created":5,"choices":[{"index":1,"text":"\"index\":0"}]}"#,
                #"data: {"choices":[{"text":"q","index":0}],"created":5,"id":"cmpl-x"}"#,
                #"data: {"choices":[{"text":"no index"}]}"#,
                #"data: {"id":"cmpl-x","created":5,"choices":[],"usage":{"prompt_tokens":20,"total_tokens":32,"#
                    + #""completion_tokens":12,"prompt_tokens_details":{"cached_tokens":6}}}"#,
                "data: [DONE]",
            ])
    }

    @Test("an error event is written as it came and ends the whole")
    func streamError() {
        var merge = PartStreamMerge(id: "cmpl-x")
        var output = ByteBuffer()
        let error = #"{"error":{"message":"m","code":500}}"#
        let outcome = Array(error.utf8).withUnsafeBytes {
            merge.write($0, index: 3, countsPrompt: true, to: &output)
        }
        #expect(outcome == .failed && String(buffer: output) == "data: \(error)\n\n")
    }

    @Test("whole answers become one, in the order of the parts")
    func wholeAnswers() throws {
        let split = try Self.split(#"{"prompt":["a","b"],"n":2}"#)
        let bodies = (0..<4).map { part in
            ByteBuffer(
                string: #"{"id":"p\#(part)","created":\#(part),"choices":[{"text":"\#(part)","index":0,"x":null}],"#
                    + #""usage":{"prompt_tokens":\#(10 * (part / 2 + 1)),"completion_tokens":2,"total_tokens":7,"#
                    + #""prompt_tokens_details":null},"kv_transfer_params":{"a":1}}"#)
        }
        let merged = try #require(PartAnswerMerge.merge(bodies, of: split, id: "cmpl-x"))
        #expect(
            String(buffer: merged)
                == #"{"id":"cmpl-x","created":0,"choices":[{"text":"0","index":0,"x":null},{"text":"1","index":1,"x":null},"#
                + #"{"text":"2","index":2,"x":null},{"text":"3","index":3,"x":null}],"#
                + #""usage":{"prompt_tokens":30,"completion_tokens":8,"total_tokens":38,"prompt_tokens_details":null},"#
                + #""kv_transfer_params":null}"#)
        #expect(PartAnswerMerge.merge([ByteBuffer(string: "{}")], of: split, id: "x") == nil)
        #expect(PartAnswerMerge.merge([], of: split, id: "x") == nil)
    }
}

/// What engines write is not to be trusted to be JSON, or to be small.
@Suite("Merging of anything")
struct PartMergeFuzzTests {
    @Test("mutated chunks and answers never trap, and a merged object stays one")
    func mutated() throws {
        let seeds = [
            #"{"id":"a","created":1,"choices":[{"index":0,"text":"x"}]}"#,
            #"{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#,
            #"{"id":"a","choices":[],"usage":{"prompt_tokens":9223372036854775807,"total_tokens":2,"d":{"e":{"f":{"g":{"h":1}}}}}}"#,
            "[DONE]", #"{"error":null,"choices":[1,2]}"#,
        ]
        let split = RequestSplit.split(
            try GenerationRequest(endpoint: .completions, body: ByteBuffer(string: #"{"prompt":["a","b"]}"#)),
            maximumParts: 8)
        guard case .split(let split) = split else {
            Issue.record("not split")
            return
        }
        for seed in 0..<UInt64(Fuzzing.iterations(3000)) {
            var generator = SeededGenerator(seed: seed)
            var merge = PartStreamMerge(id: "m")
            for part in 0..<4 {
                let pick = seeds[Int(generator.next() % UInt64(seeds.count))]
                let bytes = Fuzzing.mutated(Array(pick.utf8), using: &generator)
                var output = ByteBuffer()
                let outcome = bytes.withUnsafeBytes { data in
                    merge.write(data, index: part, countsPrompt: part == 0, to: &output)
                }
                let isJSON = (try? JSONView(parsing: bytes))?.kind == .object
                if output.readableBytes > 0 {
                    #expect(isJSON, "seed \(seed)")
                    let payload = String(buffer: output).dropFirst(6).dropLast(2)
                    #expect((try? JSONView(parsing: String(payload)))?.kind == .object, "seed \(seed): \(payload)")
                }
                if outcome == .failed { #expect(isJSON, "seed \(seed)") }
            }
            var end = ByteBuffer()
            merge.writeEnd(to: &end)
            let events = String(buffer: end).split(separator: "\n\n")
            #expect(events.last == "data: [DONE]" && events.count <= 2)
            for event in events.dropLast() {
                #expect((try? JSONView(parsing: String(event.dropFirst(6))))?.kind == .object, "seed \(seed): \(event)")
            }
            let bodies = (0..<2).map { _ in
                ByteBuffer(
                    bytes: Fuzzing.mutated(
                        Array(seeds[Int(generator.next() % UInt64(seeds.count))].utf8), using: &generator))
            }
            if let merged = PartAnswerMerge.merge(bodies, of: split, id: "m") {
                let view = try? JSONView(parsing: Array(merged.readableBytesView))
                #expect(view?["choices"]?.elements.count == 2, "seed \(seed)")
            }
        }
    }
}
