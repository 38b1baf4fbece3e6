/// Reads conversations: a JSON array of `{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}`.
enum ShareGPTReader {
    /// Bytes of English text that one token stands for, on average over the vocabularies in use: the length of an answer
    /// where the server has no `/tokenize`.
    private static let bytesPerToken = 4
    /// Shorter ones are greetings and leftovers.
    private static let minimumBytes = 16

    /// The usable conversations, in the file's order.
    static func read(_ bytes: [UInt8], _ path: String) throws(CommandError) -> [BenchItem] {
        let view: JSONView
        do throws(JSONSyntaxError) {
            view = try JSONView(parsing: bytes)
        } catch {
            throw CommandError("\(path) is no JSON: \(error.reason) at byte \(error.offset)")
        }
        guard view.kind == .array else { throw CommandError("\(path) is no list of conversations") }
        let items = view.elements.compactMap { entry -> BenchItem? in
            let turns = (entry["conversations"] ?? entry["conversation"])?.elements ?? []
            guard turns.count >= 2, let prompt = text(of: turns[0]), let answer = text(of: turns[1]),
                prompt.utf8.count >= minimumBytes, answer.utf8.count >= minimumBytes
            else { return nil }
            return BenchItem(.text(prompt), outputTokens: answer.utf8.count / bytesPerToken, answer: answer)
        }
        guard !items.isEmpty else {
            throw CommandError("\(path) has no conversation with two turns of \(minimumBytes) bytes or more")
        }
        return items
    }

    private static func text(of turn: JSONView) -> String? { (turn["value"] ?? turn["content"])?.string }
}
