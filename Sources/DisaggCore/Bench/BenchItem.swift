/// One request that a benchmark makes.
package struct BenchItem: Sendable, Hashable {
    /// What the prompt is.
    package enum Prompt: Sendable, Hashable {
        /// So many tokens of random words.
        case tokens(Int)
        /// So many bytes of random words.
        case bytes(Int)
        /// A given text.
        case text(String)
        /// So many tokens, block by block: equal numbers stand for equal text, so prompts share beginnings as in the trace.
        case blocks([Int], tokens: Int)
    }

    package var prompt: Prompt
    /// Tokens of the answer; estimated from ``answer`` until the server has counted them.
    package var outputTokens: Int
    /// The text that the answer shall be as long as; nil where its length is known.
    package var answer: String?
    /// When it arrives, in nanoseconds after the first one; nil where the load decides.
    package var arrival: Int?

    /// Describes a request.
    package init(_ prompt: Prompt, outputTokens: Int, answer: String? = nil, arrival: Int? = nil) {
        self.prompt = prompt
        self.answer = answer
        self.outputTokens = outputTokens
        self.arrival = arrival
    }

    /// Tokens of the prompt as far as they are known before the server counts them.
    package var promptTokens: Int? {
        switch prompt {
        case .tokens(let count), .blocks(_, let count): count
        case .bytes, .text: nil
        }
    }
}
