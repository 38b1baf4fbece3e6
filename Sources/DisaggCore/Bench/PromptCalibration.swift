/// Finds out by the server's `/tokenize` which words are one token, and what prompts have beside them. It does no I/O: the
/// owner sends what ``next`` says and gives the count that comes back.
struct PromptCalibration {
    /// What to do now.
    enum Step: Equatable {
        /// Ask how many tokens this is: the text of a prompt, or of a chat's only message.
        case count(String)
        case done(PromptVocabulary)
    }

    /// How often a word is repeated when it is asked for alone: far more than what else can be in the count.
    private static let repeats = 8
    /// Fewer usable words than this make prompts that are all alike.
    private static let minimumWords = 8

    private enum Phase { case overhead, all, each(Int) }

    private let candidates = PromptVocabulary.commonWords
    private let fallback: PromptVocabulary
    private var phase = Phase.overhead
    private var overhead = 0
    private var usable: [[UInt8]] = []

    /// - Parameter fallback: what is used where the server does not tell.
    init(fallback: PromptVocabulary) { self.fallback = fallback }

    /// What to do now.
    var next: Step {
        switch phase {
        case .overhead: .count(Self.text([Array(" the".utf8)], times: Self.repeats))
        case .all: .count(Self.text(candidates, times: 1))
        case .each(let index):
            index < candidates.count
                ? .count(Self.text([candidates[index]], times: Self.repeats)) : .done(found(usable))
        }
    }

    /// Takes the answer to the last question.
    ///
    /// - Parameter tokens: nil where the server did not tell.
    mutating func take(_ tokens: Int?) -> Step {
        guard let tokens else { return .done(fallback) }
        switch phase {
        case .overhead:
            // "the" is one token everywhere; what is more belongs to every prompt.
            overhead = tokens - Self.repeats
            guard overhead >= 0 else { return .done(fallback) }
            phase = .all
        case .all:
            if tokens == candidates.count + overhead { return .done(found(candidates)) }
            phase = .each(0)
        case .each(let index):
            if tokens == Self.repeats + overhead, candidates.indices.contains(index) {
                usable.append(candidates[index])
            }
            phase = .each(index + 1)
        }
        return next
    }

    private func found(_ words: [[UInt8]]) -> PromptVocabulary {
        guard words.count >= Self.minimumWords else { return fallback }
        return PromptVocabulary(words: words, overhead: overhead, isExact: true)
    }

    private static func text(_ words: [[UInt8]], times: Int) -> String {
        String(decoding: (0..<times).flatMap { _ in words.flatMap { $0 } }, as: UTF8.self)
    }
}
