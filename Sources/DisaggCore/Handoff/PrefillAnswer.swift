package import NIOCore

/// A prefill engine's complete answer.
package struct PrefillAnswer: Sendable {
    /// HTTP status.
    package let status: Int
    /// The answer's body, checked; nil where it is not JSON.
    package let json: JSONView?
    /// The decoder's longest sequence in tokens (`max_model_len`), where it is known.
    package let contextLength: Int?

    /// Reads a body.
    package init(status: Int, body: ByteBuffer, contextLength: Int? = nil) {
        self.status = status
        self.contextLength = contextLength
        json = try? JSONView(parsing: Array(body.readableBytesView))
    }

    /// `kv_transfer_params` as it came; nil where absent, null or not an object.
    package var transferParameters: JSONView? {
        guard let value = json?["kv_transfer_params"], value.kind == .object else { return nil }
        return value
    }

    /// The only choice; nil where there is none or more than one.
    package var choice: JSONView? {
        guard let choices = json?["choices"]?.elements, choices.count == 1 else { return nil }
        return choices[0]
    }

    /// `kv_transfer_params.first_tok`: the id of the token the prefill engine sampled.
    package var firstToken: Int? { transferParameters?["first_tok"]?.int }

    /// The prompt's token ids: in the choice for completions, at the top for chat.
    package var promptTokens: JSONView? {
        for value in [choice?["prompt_token_ids"], json?["prompt_token_ids"]] {
            if let value, value.kind == .array { return value }
        }
        return nil
    }

    /// Tokens of the prompt as the engine counts them.
    package var promptTokenCount: Int? { Self.tokenCount(json?["usage"]?["prompt_tokens"]) }

    /// A count of tokens that an engine tells: nil where it is no count, so that sums of counts cannot overflow.
    static func tokenCount(_ value: JSONView?) -> Int? {
        guard let count = value?.int, (0...1 << 40).contains(count) else { return nil }
        return count
    }
}
