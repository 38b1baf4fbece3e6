/// The tokens of simulated engines: bytes, fragments, words, CJK characters, emoji and parts of UTF-8 sequences.
///
/// Ids 0...255 are single bytes, so every text can be written; ids of the fragments in the captured vLLM traffic keep
/// their number; control tokens stand at 128000 and up as in Llama 3's vocabulary. An id with no entry of its own reads
/// as a word made from its number, so that any list of ids below ``size`` is a legal prompt.
package struct SimulatedVocabulary: Sendable {
    /// One more than the largest token id. Llama 3 has as many.
    package static let size = 128_256
    /// Stands at the start of a chat prompt.
    package static let beginOfText = 128_000
    /// Ends a generation.
    package static let endOfText = 128_001
    /// Opens a role name in a chat prompt.
    package static let startHeader = 128_002
    /// Closes a role name in a chat prompt.
    package static let endHeader = 128_003
    /// Ends a message in a chat prompt.
    package static let endOfTurn = 128_004
    /// The first control token; these have no text.
    package static let firstControl = 128_000

    /// Words that follow a space.
    let spacedWords: [Int]
    /// The same words without the space.
    let bareWords: [Int]
    /// Punctuation and line ends.
    let punctuation: [Int]
    /// Whole characters of three bytes.
    let ideographs: [Int]
    /// Whole characters of four bytes.
    let emoji: [Int]
    /// The first one to three bytes of a character.
    let partials: [Int]
    /// The UTF-8 bytes of every character that has a partial token.
    let splitCharacters: [[UInt8]]
    private let texts: [Int: [UInt8]]

    /// The vocabulary all simulated engines share.
    package static let shared = SimulatedVocabulary()

    private init() {
        var texts: [Int: [UInt8]] = [:]
        for byte in 0...255 { texts[byte] = [UInt8(byte)] }
        let captured: [(Int, String)] = [
            (271, " w"), (334, "er"), (336, "el"), (398, "st"), (544, "or"), (612, "si"), (677, "ant"), (1029, "lo"),
            (1035, "ld"), (1102, "us"), (5083, "\n\n"), (7416, "as"),
        ]
        for (id, text) in captured { texts[id] = Array(text.utf8) }
        func add(_ entries: [[UInt8]], at first: Int) -> [Int] {
            entries.enumerated().map { offset, bytes in
                texts[first + offset] = bytes
                return first + offset
            }
        }
        let words =
            """
            the of and to in is that it for on with as are this be at from have an by one not but what all when we there \
            can more if no out so up into them then she many some would other two its time about over only like little \
            long make after water river stone light night morning engine cache token prompt answer question between under \
            through because against house garden paper music silver window letter number summer winter island mountain \
            travel silent quick bright narrow gentle hidden distant ordinary simple careful sudden future memory story
            """.split(separator: " ").map { Array($0.utf8) }
        spacedWords = add(words.map { [0x20] + $0 }, at: 2_000)
        // One-letter and captured fragments stay apart: a bare word of two letters would change the captured ids.
        bareWords = add(words.filter { $0.count > 4 }, at: 3_000)
        punctuation = [44, 46, 33, 63, 10, 34, 92, 58] + [5083]
        let ideographText = "日本語中文漢字東京大学生時間言葉世界人山川水火木金土空海花鳥風月한국어안녕"
        ideographs = add(ideographText.unicodeScalars.map { Array(String($0).utf8) }, at: 20_000)
        let emojiText = "😀😂🤖🚀🌍🎉🔥🐍🦀🍣🧠🌈"
        emoji = add(emojiText.unicodeScalars.map { Array(String($0).utf8) }, at: 30_000)
        splitCharacters = (ideographText + emojiText + "éüßñж").unicodeScalars.map { Array(String($0).utf8) }
        var seen: Set<[UInt8]> = []
        var prefixes: [[UInt8]] = []
        for character in splitCharacters {
            for length in 2..<max(2, character.count) where seen.insert(Array(character.prefix(length))).inserted {
                prefixes.append(Array(character.prefix(length)))
            }
        }
        let leads = Set(splitCharacters.map { Int($0[0]) }).sorted()
        partials = leads + add(prefixes, at: 40_000)
        self.texts = texts
    }

    /// The token's bytes; none for control tokens.
    package func bytes(of token: Int) -> [UInt8] {
        if let bytes = texts[token] { return bytes }
        return token >= Self.firstControl ? [] : Array(" w\(token)".utf8)
    }

    /// Every token that has bytes of its own, for building a ``SimulatedTokenizer``.
    var entries: [Int: [UInt8]] { texts }

    /// What log probabilities call the token: its text, U+FFFD where that is part of a character.
    package func name(of token: Int) -> String {
        switch token {
        case Self.beginOfText: "<|begin_of_text|>"
        case Self.endOfText: "<|end_of_text|>"
        case Self.startHeader: "<|start_header_id|>"
        case Self.endHeader: "<|end_header_id|>"
        case Self.endOfTurn: "<|eot_id|>"
        case Self.firstControl...: "<|reserved_special_token_\(token - Self.firstControl)|>"
        default: String(decoding: bytes(of: token), as: UTF8.self)
        }
    }
}
