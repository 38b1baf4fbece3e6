import Testing

@testable import DisaggCore

@Suite("Simulated tokenizer")
struct SimulatedTokenizerTests {
    private let tokenizer = SimulatedTokenizer.shared

    @Test("gives captured texts the captured token ids")
    func capturedIDs() throws {
        #expect(tokenizer.tokenize("Hello world") == [72, 336, 1029, 271, 544, 1035])
        let fields = try SimulatedRequestParser.fields(
            Array(#"{"messages":[{"role":"user","content":"Hello"}]}"#.utf8), path: "/tokenize")
        #expect(
            try SimulatedChatTemplate.tokens(fields, path: "/tokenize") == [
                128000, 128002, 1102, 334, 128003, 10, 10, 72, 336, 1029, 128004, 128002, 7416, 612, 398, 677, 128003,
                5083,
            ])
    }

    @Test("gives every text back byte for byte")
    func roundTrip() {
        var random = SeededGenerator(seed: 7)
        let alphabet = Array("abc XYZ\n\"\\é日本語😀🤖\u{301}\u{0}\u{FFFD}the quick 한\r\t".unicodeScalars)
        for _ in 0..<500 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                text.append(alphabet[Int.random(in: 0..<alphabet.count, using: &random)])
            }
            let string = String(text)
            #expect(Array(tokenizer.detokenize(tokenizer.tokenize(string)).utf8) == Array(string.utf8))
        }
    }

    @Test("shows generated text piece by piece as the whole text, never half a character")
    func incremental() {
        var halves = 0
        for prompt in 0..<200 {
            var history = TokenHistory([prompt])
            let sampler = TokenSampler(endProbability: 0, choice: 0, seed: nil)
            var detokenizer = IncrementalDetokenizer()
            var tokens: [Int] = []
            var text = ""
            for _ in 0..<40 {
                let token = sampler.next(history, allowEnd: false).token
                history.append(token)
                tokens.append(token)
                let piece = detokenizer.append(sampler.vocabulary.bytes(of: token))
                if piece.isEmpty { halves += 1 }
                text += piece
            }
            text += detokenizer.finish()
            #expect(Array(text.utf8) == Array(tokenizer.detokenize(tokens).utf8))
        }
        #expect(halves > 100)
    }

    @Test("a history continued from its first token equals the whole history")
    func continuation() {
        let prompt = tokenizer.tokenize("some prompt 日")
        var history = TokenHistory(prompt)
        let sampler = TokenSampler(endProbability: 0.02, choice: 0, seed: 3)
        let first = sampler.next(history, allowEnd: true).token
        history.append(first)
        let other = TokenHistory(prompt + [first])
        #expect(sampler.next(history, allowEnd: true) == sampler.next(other, allowEnd: true))
        #expect(history.pending == other.pending)
    }

    @Test("some prompts end at once, none does under ignore_eos")
    func endOfText() {
        let sampler = TokenSampler(endProbability: 0.02, choice: 0, seed: nil)
        let firsts = (0..<1_000).map { sampler.next(TokenHistory([$0]), allowEnd: true).token }
        let ends = firsts.count { $0 == SimulatedVocabulary.endOfText }
        #expect((5...50).contains(ends))
        #expect(
            !(0..<1_000).contains {
                sampler.next(TokenHistory([$0]), allowEnd: false).token == SimulatedVocabulary.endOfText
            })
    }
}

/// SplitMix64, for tests that must not differ between runs.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return TokenHistory.mix(state)
    }
}
