/// Text to token ids and back, byte-exact: `detokenize(tokenize(text)) == text` for every text.
///
/// Longest match over the vocabulary, byte by byte, so a token may end inside a UTF-8 sequence.
package struct SimulatedTokenizer: Sendable {
    /// The tokenizer all simulated engines share.
    package static let shared = SimulatedTokenizer()

    package let vocabulary: SimulatedVocabulary
    /// Child of node `n` for byte `b` at `n * 256 + b`; 0 where there is none.
    private let children: [Int16]
    /// The token that ends at each node, -1 where none does.
    private let tokens: [Int32]

    private init(vocabulary: SimulatedVocabulary = .shared) {
        self.vocabulary = vocabulary
        var children = [Int16](repeating: 0, count: 256)
        var tokens: [Int32] = [-1]
        // In id order, so that of two tokens with the same bytes the lower id wins on every run.
        for (token, bytes) in vocabulary.entries.sorted(by: { $0.key < $1.key }) {
            var node = 0
            for byte in bytes {
                let slot = node * 256 + Int(byte)
                if children[slot] == 0 {
                    children[slot] = Int16(tokens.count)
                    tokens.append(-1)
                    children.append(contentsOf: repeatElement(0, count: 256))
                }
                node = Int(children[slot])
            }
            if tokens[node] < 0 { tokens[node] = Int32(token) }
        }
        self.children = children
        self.tokens = tokens
    }

    /// The token ids of a text. No control tokens are added or recognised.
    package func tokenize(_ text: String) -> [Int] {
        let bytes = Array(text.utf8)
        var result: [Int] = []
        result.reserveCapacity(bytes.count / 3 + 1)
        var start = 0
        while start < bytes.count {
            var node = 0
            var index = start
            var match = Int(bytes[start])
            var matchEnd = start + 1
            while index < bytes.count {
                node = Int(children[node * 256 + Int(bytes[index])])
                guard node != 0 else { break }
                index += 1
                if tokens[node] >= 0 {
                    match = Int(tokens[node])
                    matchEnd = index
                }
            }
            result.append(match)
            start = matchEnd
        }
        return result
    }

    /// The text of token ids: control tokens left out, bytes that are no UTF-8 shown as U+FFFD.
    package func detokenize(_ ids: some Sequence<Int>) -> String {
        var bytes: [UInt8] = []
        for id in ids { bytes.append(contentsOf: vocabulary.bytes(of: id)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
