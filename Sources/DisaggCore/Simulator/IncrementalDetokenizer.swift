/// Turns generated tokens into text one at a time, never showing half a character.
///
/// As in vLLM, a token that ends inside a UTF-8 sequence gives "" until the sequence is complete; what is still
/// incomplete when the generation ends becomes U+FFFD. The pieces joined are always the text of all tokens at once.
/// Bytes of the prompt are not looked at: a continuation byte that follows half a character *of the prompt* comes out
/// as U+FFFD, the hazard of hand-offs that move the first token into the prompt.
package struct IncrementalDetokenizer {
    private var pending: [UInt8] = []

    package init() {}

    /// Adds a token's bytes and returns the text that has become certain.
    package mutating func append(_ bytes: [UInt8]) -> String {
        pending.append(contentsOf: bytes)
        let held = Self.incompleteSuffixLength(pending)
        let text = String(decoding: pending.dropLast(held), as: UTF8.self)
        pending.removeFirst(pending.count - held)
        return text
    }

    /// The text of what is left at the end of a generation.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end are the start of a UTF-8 sequence that could still be completed, 0...3.
    package static func incompleteSuffixLength(_ bytes: some BidirectionalCollection<UInt8>) -> Int {
        var length = 0
        var index = bytes.endIndex
        while length < 3, index > bytes.startIndex {
            index = bytes.index(before: index)
            length += 1
            let byte = bytes[index]
            if byte & 0xC0 == 0x80 { continue }
            let needed =
                switch byte {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 0
                }
            guard length < needed else { return 0 }
            guard length >= 2 else { return length }
            // The second byte's range is narrower after some leads; outside it the sequence is already broken.
            let second = bytes[bytes.index(after: index)]
            let legal =
                switch byte {
                case 0xE0: second >= 0xA0
                case 0xED: second < 0xA0
                case 0xF0: second >= 0x90
                case 0xF4: second < 0x90
                default: true
                }
            return legal ? length : 0
        }
        return 0
    }
}
