import NIOCore
import Testing

@testable import DisaggCore

/// Compares the one walk over an engine's answer with look-ups by name.
@Suite("Places in engines' answers, compared with look-ups")
struct AnswerPlacesFuzzTests {
    private static let values = [
        "null", "1", "-3", "1.5", "\"\"", "\"stop\"", "\" a\\u00e9\\n\"", "[]", "[1,2,3]", "[ ]", "{}", "{\"a\":[1]}",
        "true",
        "99999999999999999999",
    ]

    private static func value(using generator: inout SeededGenerator) -> String {
        values[Int(generator.next() % UInt64(values.count))]
    }

    private static func object(
        _ names: [String], using generator: inout SeededGenerator,
        value: (String, inout SeededGenerator) -> String
    ) -> String {
        let space = [" ", "", "", "\n"][Int(generator.next() % 4)]
        let members = (0..<generator.next() % 7).map { _ in
            let name = names[Int(generator.next() % UInt64(names.count))]
            let spelled =
                generator.next() % 16 == 0
                ? "\\u00" + String(name.utf8.first ?? 0x61, radix: 16) + name.dropFirst() : name
            return "\(space)\"\(spelled)\":\(space)\(value(name, &generator))"
        }
        return "{\(members.joined(separator: ","))\(space)}"
    }

    /// An answer or event with what both readers look for, each in many shapes.
    private static func answer(using generator: inout SeededGenerator) -> [UInt8] {
        let names = [
            "id", "created", "model", "choices", "choices", "usage", "kv_transfer_params", "prompt_token_ids", "error",
            "system_fingerprint",
        ]
        let text = object(names, using: &generator) { name, generator in
            guard generator.next() % 8 > 0 else { return value(using: &generator) }
            switch name {
            case "choices":
                let elements = (0..<1 + generator.next() % 8 / 6).map { _ in
                    object(
                        ["text", "message", "finish_reason", "stop_reason", "prompt_token_ids"], using: &generator
                    ) { name, generator in
                        guard name == "message", generator.next() % 4 > 0 else { return value(using: &generator) }
                        return object(
                            ["content", "reasoning", "reasoning_content", "tool_calls"], using: &generator
                        ) { _, generator in value(using: &generator) }
                    }
                }
                return "[\(elements.joined(separator: ", "))]"
            case "usage":
                return object(["prompt_tokens", "completion_tokens"], using: &generator) { value(using: &$1) }
            case "kv_transfer_params": return object(["first_tok", "x"], using: &generator) { value(using: &$1) }
            default: return value(using: &generator)
            }
        }
        return Array(text.utf8)
    }

    private static func tokenCount(_ view: JSONView?) -> Int? {
        view?.int.flatMap { (0...1 << 40).contains($0) ? $0 : nil }
    }

    private static func isTaken(_ field: JSONView?) -> Bool {
        field.map { !$0.isNull && $0.rawString != "[]" } ?? false
    }

    /// The same as ``PrefillAnswerPlaces``, told by look-ups: a line for each value.
    private static func expected(_ view: JSONView?) -> [String?] {
        let choices = view?["choices"]?.elements
        let choice = choices?.count == 1 ? choices?[0] : nil
        let message = choice?["message"]
        let lists = [choice?["prompt_token_ids"], view?["prompt_token_ids"]].compactMap {
            $0?.kind == .array ? $0 : nil
        }
        let parameters = view?["kv_transfer_params"].flatMap { $0.kind == .object ? $0 : nil }
        return [
            view?["id"]?.rawString, view?["created"]?.rawString, view?["model"]?.rawString,
            view?["system_fingerprint"]?.rawString, choice?.rawString, choice?["text"]?.string, message?.rawString,
            message?["content"]?.string, choice?["finish_reason"]?.rawString, choice?["stop_reason"]?.rawString,
            lists.first?.rawString, parameters?.rawString, parameters?["first_tok"]?.int.map(String.init),
            tokenCount(view?["usage"]?["prompt_tokens"]).map(String.init), view?["usage"]?.rawString,
            String(["reasoning", "reasoning_content", "tool_calls"].contains { isTaken(message?[$0]) }),
        ]
    }

    private static func found(_ answer: PrefillAnswer) -> [String?] {
        let places = answer.places
        let choice = places.choice
        func raw(_ place: Range<Int>?) -> String? { place.flatMap { answer.raw($0) }.map { String(buffer: $0) } }
        return [
            raw(places.id), raw(places.created), raw(places.model), raw(places.fingerprint), raw(choice?.range),
            choice.flatMap { answer.string($0.text) }, raw(choice?.message),
            choice.flatMap { answer.string($0.content) },
            raw(choice?.finishReason), raw(choice?.stopReason), raw(places.promptTokens),
            raw(places.transferParameters),
            places.firstToken.map(String.init), places.promptTokenCount.map(String.init), raw(places.usage),
            String(choice?.isParsed ?? false),
        ]
    }

    @Test("random prefill answers, some mutated")
    func prefillAnswers() {
        var generator = SeededGenerator(seed: 61)
        for iteration in 0..<Fuzzing.iterations(1_500) {
            var text = Self.answer(using: &generator)
            if iteration % 3 == 0 { text = Fuzzing.mutated(text, using: &generator) }
            let view = (try? JSONView(parsing: text)).flatMap { $0.kind == .object ? $0 : nil }
            let found = Self.found(PrefillAnswer(status: 200, body: ByteBuffer(bytes: text)))
            if found != Self.expected(view) {
                Issue.record("\(String(decoding: text, as: UTF8.self)): \(found), expected \(Self.expected(view))")
                return
            }
        }
    }

    @Test("random chunks of a decoder, some mutated: what is no chunk passes, what is one is changed as told")
    func decodeEvents() throws {
        var generator = SeededGenerator(seed: 62)
        let prefill =
            #"{"id":"P","created":7,"model":"m","choices":[{"text":"a","prompt_token_ids":[1],"message":{"content":"a"}}],"#
            + #""usage":{"prompt_tokens":3},"kv_transfer_params":{"first_tok":9}}"#
        let answer = PrefillAnswer(status: 200, body: ByteBuffer(string: prefill))
        let merges = try [GenerationRequest.Endpoint.completions, .chatCompletions].map { endpoint in
            FirstTokenMerge(
                try GenerationRequest(endpoint: endpoint, body: ByteBuffer(string: "{\"prompt\":\"a\"}")),
                answer: answer)
        }
        for iteration in 0..<Fuzzing.iterations(1_500) {
            var text = Self.answer(using: &generator)
            if iteration % 3 == 0 { text = Fuzzing.mutated(text, using: &generator) }
            let view = (try? JSONView(parsing: text)).flatMap { $0.kind == .object ? $0 : nil }
            for merge in merges {
                var output = ByteBuffer()
                text.withUnsafeBytes { merge.writeEvent($0, to: &output) }
                let event = Array(output.readableBytesView)
                guard let fault = Self.fault(event, text, view, merge.endpoint) else { continue }
                Issue.record(
                    "\(fault) in \(String(decoding: event, as: UTF8.self)) for \(String(decoding: text, as: UTF8.self))"
                )
                return
            }
        }
    }

    /// What is wrong with a merged event.
    private static func fault(
        _ event: [UInt8], _ text: [UInt8], _ view: JSONView?, _ endpoint: GenerationRequest.Endpoint
    ) -> String? {
        guard event.starts(with: Array("data: ".utf8)), event.suffix(2) == [0x0A, 0x0A] else { return "framing" }
        let data = Array(event.dropFirst(6).dropLast(2))
        guard let view, view["error"] == nil else { return data == text ? nil : "changed" }
        guard let merged = try? JSONView(parsing: data) else { return "syntax" }
        if merged["id"]?.string != "P" || merged["created"]?.int != 7 { return "id" }
        guard let choice = view["choices"]?[0] else {
            let completed = (tokenCount(view["usage"]?["completion_tokens"]) ?? 0) + 1
            guard view["usage"].map({ $0.kind == .object }) ?? true else { return nil }
            return merged["usage"]?["total_tokens"]?.int == completed + 3 ? nil : "usage"
        }
        if endpoint == .completions {
            return merged["choices"]?.rawString == view["choices"]?.rawString ? nil : "choices"
        }
        let own = merged["choices"]?[0]
        if own?["delta"]?["content"]?.string != choice["text"]?.string ?? "" { return "content" }
        let finish = choice["finish_reason"].flatMap { $0.isNull ? nil : $0.rawString }
        if own?["finish_reason"]?.rawString != finish ?? "null" { return "finish_reason" }
        return finish == nil || own?["stop_reason"]?.rawString == choice["stop_reason"]?.rawString ?? "null"
            ? nil : "stop_reason"
    }
}
