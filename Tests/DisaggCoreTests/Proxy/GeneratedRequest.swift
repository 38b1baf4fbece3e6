@testable import DisaggCore

/// A random request of the kinds that clients send, valid or not.
struct GeneratedRequest: CustomStringConvertible {
    var path: String
    var body: String

    var description: String { "POST \(path) \(body)" }

    /// - Parameters:
    ///   - isSingle: one prompt and one choice.
    ///   - hasChoices: whether several choices may be asked for.
    init(using generator: inout SeededGenerator, isSingle: Bool = false, hasChoices: Bool = true) {
        let isChat = Bool.random(using: &generator)
        var members: [String] = [#""model":"meta-llama/Llama-3.1-8B-Instruct""#]
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }
        func pick(_ values: [String]) -> String { values.randomElement(using: &generator) ?? "" }
        let texts = [
            "Hello world", "The quick brown fox", "naïve café — déjà vu", "日本語のテキスト", "😀 🚀 emoji", "a\\nb\\t\\\"q\\\"",
            "x", String(repeating: "long prompt ", count: Int.random(in: 10..<40, using: &generator)),
        ]
        let unique = " #\(UInt32.random(in: 0...UInt32.max, using: &generator))"
        if isChat {
            path = "/v1/chat/completions"
            let system = chance(30) ? #"{"role":"system","content":"Be brief."},"# : ""
            members.append(#""messages":[\#(system){"role":"user","content":"\#(pick(texts) + unique)"}]"#)
        } else {
            path = "/v1/completions"
            switch Int.random(in: (isSingle ? 1 : 0)..<10, using: &generator) {
            case 0: members.append(#""prompt":["\#(pick(texts) + unique)","\#(pick(texts))"]"#)
            case 1:
                members.append(
                    #""prompt":[\#((0..<9).map { _ in "\(Int.random(in: 10..<400, using: &generator))" }.joined(separator: ","))]"#
                )
            default: members.append(#""prompt":"\#(pick(texts) + unique)""#)
            }
        }
        let limitName = isChat && chance(50) ? "max_completion_tokens" : "max_tokens"
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: break
        case 1: members.append(#""\#(limitName)":1"#)
        case 2: members.append(#""\#(limitName)":null"#)
        case 3 where chance(30): members.append(#""\#(limitName)":\#(pick(["0", "-1", "999999"]))"#)
        default: members.append(#""\#(limitName)":\#(Int.random(in: 2..<24, using: &generator))"#)
        }
        if chance(50) {
            members.append(#""stream":true"#)
            if chance(40) {
                let continuous = chance(25) ? #","continuous_usage_stats":true"# : ""
                members.append(#""stream_options":{"include_usage":true\#(continuous)}"#)
            }
        } else if chance(20) {
            members.append(#""stream":false"#)
        } else if chance(4) {
            members.append(#""stream_options":{"include_usage":true}"#)
        }
        if chance(60) { members.append(#""temperature":0"#) }
        if !isSingle, hasChoices, chance(8) { members.append(#""n":2,"temperature":0.7,"seed":7"#) }
        if chance(10) { members.append(#""seed":11"#) }
        if chance(15) { members.append(#""stop":\#(pick(["\"e\"", "[\"a\",\"th\"]", "\" \"", "[\"日\",\"zz\"]"]))"#) }
        if chance(6) { members.append(#""stop_token_ids":[\#(Int.random(in: 10..<400, using: &generator)),77,88]"#) }
        if chance(25) { members.append(#""ignore_eos":true"#) }
        if chance(10) { members.append(#""min_tokens":\#(Int.random(in: 0..<4, using: &generator))"#) }
        if chance(12) {
            members.append(isChat ? #""logprobs":true,"top_logprobs":2"# : #""logprobs":2"#)
        }
        if !isChat, chance(8) { members.append(#""echo":true"#) }
        if chance(6) { members.append(#""return_token_ids":true"#) }
        if isChat, chance(12) {
            members.append(
                #""tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]"#
            )
            if chance(50) { members.append(#""tool_choice":"required""#) }
        }
        if isChat, chance(8) { members.append(#""chat_template_kwargs":{"enable_thinking":false}"#) }
        if chance(5) {
            members.append(#""kv_transfer_params":{"do_remote_prefill":true,"remote_host":"10.9.8.7","remote_port":1}"#)
        }
        if chance(3) { members.append(#""presence_penalty":0.5"#) }
        members.shuffle(using: &generator)
        body = "{" + members.joined(separator: pick([",", ", ", " ,\n"])) + "}"
    }
}
