package import NIOCore

/// A prefill engine's complete answer: its bytes, and where in them stands what a hand-off needs.
///
/// The answer is read once, from front to back. With the prompt's token ids or a long list of blocks in it, a second walk
/// would cost as much as the first.
package struct PrefillAnswer: Sendable {
    /// HTTP status.
    package let status: Int
    /// The decoder's longest sequence in tokens (`max_model_len`), where it is known.
    package let contextLength: Int?
    /// The answer as it came.
    let body: ByteBuffer
    /// What stands in it; nothing where it is no JSON object.
    let places: PrefillAnswerPlaces

    /// Reads a body.
    package init(status: Int, body: ByteBuffer, contextLength: Int? = nil) {
        self.status = status
        self.contextLength = contextLength
        self.body = body
        places = body.withUnsafeReadableBytes { PrefillAnswerPlaces(reading: $0) }
    }

    /// The bytes at a place in the answer; nil where nothing was found.
    func raw(_ place: Range<Int>) -> ByteBuffer? {
        place.isEmpty ? nil : body.getSlice(at: body.readerIndex + place.lowerBound, length: place.count)
    }

    /// The text of a string at a place in the answer; nil where there is no string.
    func string(_ place: Range<Int>) -> String? {
        body.withUnsafeReadableBytes { bytes in
            guard !place.isEmpty, bytes[place.lowerBound] == UInt8(ascii: "\"") else { return nil }
            return JSONString.decode(bytes, place)
        }
    }

    /// `kv_transfer_params` as it came; nil where absent, null or not an object.
    package var transferParameters: ByteBuffer? { raw(places.transferParameters) }

    /// `kv_transfer_params.first_tok`: the id of the token the prefill engine sampled.
    package var firstToken: Int? { places.firstToken }

    /// The prompt's token ids as a JSON array: in the choice for completions, at the top for chat.
    package var promptTokens: ByteBuffer? { raw(places.promptTokens) }

    /// Tokens of the prompt as the engine counts them.
    package var promptTokenCount: Int? { places.promptTokenCount }

    /// Whether the answer tells an error although its status is 200: as its only member, or as the first event of a stream.
    package var tellsError: Bool {
        body.withUnsafeReadableBytes { bytes in
            let event: StaticString = "data: "
            let isStream = bytes.count > event.utf8CodeUnitCount && ByteBlock.isEqual(bytes, 0, event)
            var cursor = JSONCursor(
                UnsafeRawBufferPointer(rebasing: bytes[(isStream ? event.utf8CodeUnitCount : 0)...]))
            guard cursor.openObject() else { return false }
            while let name = try? cursor.nextName() {
                let isNull = cursor.isAt(UInt8(ascii: "n"))
                guard (try? cursor.skipValue()) != nil else { return false }
                if name.is("error"), !isNull { return true }
            }
            return false
        }
    }
}
