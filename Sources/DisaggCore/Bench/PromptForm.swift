/// How prompts of a wanted length are written.
package enum PromptForm: String, Sendable, Hashable, CaseIterable {
    /// Words that the server's `/tokenize` has said are one token each; token ids where it has no such path.
    case auto
    /// Words that most vocabularies have as one token, without asking.
    case words
    /// Token ids (completions only): exact whatever the vocabulary.
    case ids
}

/// What the words of prompts are worth in tokens.
struct PromptVocabulary: Sendable, Equatable {
    /// Each with the space before it.
    var words: [[UInt8]]
    /// Tokens that every prompt has beside its words: a beginning-of-sequence token, a chat template.
    var overhead = 0
    /// Prompts are lists of ids, not text.
    var isIDs = false
    /// The server has confirmed the lengths, or they are ids.
    var isExact = false

    /// Ids from here on are ordinary tokens in all vocabularies in use; control tokens stand at either end.
    static let firstID = 1000
    /// How many ids are used.
    static let idCount = 16_384

    /// Words that nobody was asked about.
    static let unchecked = PromptVocabulary(words: commonWords)
    /// Ids.
    static let ids = PromptVocabulary(words: [], isIDs: true, isExact: true)

    /// Common English words: with the space before it, each is one token in the vocabularies of Llama, Qwen, Mistral,
    /// DeepSeek and GPT models and in that of the simulated engines.
    static let commonWords = """
        the of and to in is that it for on with as are this be at from have an by one not but what all when we there can \
        more if no out so up into them then she many some would other two its time about over only like little long make \
        after water river stone light night morning engine question between under through because against house garden
        """.split(separator: " ").map { Array(" \($0)".utf8) }
}
