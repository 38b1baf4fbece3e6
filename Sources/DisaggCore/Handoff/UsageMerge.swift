package import NIOCore

/// Puts the prefill engine's count of cached prompt tokens in place of the decoder's.
///
/// A decoder that loaded the prompt's KV counts all of it as cached; what a client pays for is what the prefill engine had
/// in its own cache. Other counts are right as the decoder tells them: it got the whole prompt, and every token of the
/// answer is its own. Where the first token is not, ``FirstTokenMerge`` counts.
///
/// The count is found by the bytes of its member's name, since engines write `usage` in one way; text cannot be mistaken
/// for it, for the quotes of a text are escaped. Nothing is parsed and nothing is allocated for an event without it.
package struct UsageMerge: Sendable {
    /// Tokens of the prompt that the prefill engine had in its cache.
    let cachedTokens: Int
    private let name: StaticString

    /// Creates a merge.
    ///
    /// - Returns: nil where the answer shall pass as it is: the prefill engine told no count, or the client sees no usage.
    package init?(_ request: GenerationRequest, answer: PrefillAnswer) {
        guard let cachedTokens = answer.places.cachedTokens else { return nil }
        self.cachedTokens = cachedTokens
        switch request.endpoint {
        case .responses: name = #""input_tokens_details":{"cached_tokens":"#
        case .messages: name = #""cache_read_input_tokens":"#
        case .completions, .chatCompletions, .generate, .native:
            name = #""prompt_tokens_details":{"cached_tokens":"#
            if request.isStream, request.members.bool("stream_options", "include_usage") != true { return nil }
        }
    }

    /// Appends bytes with the count replaced wherever it stands; whole events or a whole answer at once.
    package func write(_ bytes: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        var start = 0
        var index = 0
        let length = name.utf8CodeUnitCount
        while true {
            index = ByteBlock.firstIndex(of: UInt8(ascii: "\""), in: bytes, from: index)
            guard index + length < bytes.count else { break }
            guard ByteBlock.isEqual(bytes, index, name) else {
                index += 1
                continue
            }
            index += length
            var end = index
            while end < bytes.count, JSONScanner.isDigit(bytes[end]) { end += 1 }
            guard end > index else { continue }
            output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            output.writeString(String(cachedTokens))
            start = end
            index = end
        }
        output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }
}
