package import NIOCore

/// Puts the prefill engine's log-probabilities of the prompt in front of the decoder's, in answers of SGLang's `/generate`.
///
/// The decoder computes no prompt, so its `meta_info.input_token_logprobs` lack it. The answers of a batch are a list, and
/// in streams each event has the `index` of its request. Source: `merge_logprobs` of sglang-router 0.3.2 `mini_lb.py`, which
/// puts the first prefill event's list into every event; here each request of a batch gets its own.
package final class PromptLogprobMerge: AnswerRewriter {
    /// The elements of the prefill engine's lists, without brackets, by the request's index in the batch.
    private var prompts: [Int: ByteBuffer] = [:]

    /// Creates a merge; nil where the client asked for no log-probabilities.
    package init?(_ request: GenerationRequest) {
        guard request.endpoint == .native else { return nil }
        let isWanted = request.members.bool("return_logprob") == true
        // A batch may have a truth value for each of its requests.
        let areWanted = request.members.json("return_logprob")?.elements.contains { $0.bool == true } == true
        guard isWanted || areWanted else { return nil }
    }

    /// Takes the prefill engine's complete answer, in one piece or as a stream.
    package func read(_ answer: ByteBuffer, isStream: Bool) {
        answer.withUnsafeReadableBytes { bytes in
            guard isStream else { return note(bytes) }
            var events = SSEScanner()
            _ = events.feed(bytes) { note($0) }
        }
    }

    private func note(_ bytes: UnsafeRawBufferPointer) {
        for place in Self.places(in: bytes) where prompts[place.index] == nil {
            prompts[place.index] = ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[place.elements]))
        }
    }

    package override func writeEvent(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        guard let merged = merged(data) else { return super.writeEvent(data, to: &output) }
        merged.withUnsafeReadableBytes { super.writeEvent($0, to: &output) }
    }

    package override func rewritten(_ body: ByteBuffer) -> ByteBuffer {
        body.withUnsafeReadableBytes { merged($0) } ?? body
    }

    /// The bytes with each list completed; nil where nothing is to be added.
    private func merged(_ bytes: UnsafeRawBufferPointer) -> ByteBuffer? {
        var output = ByteBuffer()
        var start = 0
        for place in Self.places(in: bytes) {
            guard let prompt = prompts[place.index], prompt.readableBytes > 0 else { continue }
            output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<place.elements.lowerBound]))
            output.writeImmutableBuffer(prompt)
            start = place.elements.lowerBound
            if JSONScanner.skipWhitespace(bytes, start) < place.elements.upperBound {
                output.writeStaticString(",")
            }
        }
        guard start > 0 else { return nil }
        output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        return output
    }

    private struct Place {
        /// The request's place in the batch.
        var index: Int
        /// Where the elements of its `input_token_logprobs` stand, without the brackets.
        var elements: Range<Int>
    }

    /// Finds the lists in one answer or in a list of answers.
    private static func places(in bytes: UnsafeRawBufferPointer) -> [Place] {
        var cursor = JSONCursor(bytes)
        guard cursor.openArray() else { return place(in: bytes, 0..<bytes.count, index: 0).map { [$0] } ?? [] }
        var places: [Place] = []
        var index = 0
        while (try? cursor.nextElement()) == true, let value = try? cursor.skipValue() {
            if let place = place(in: bytes, value, index: index) { places.append(place) }
            index += 1
        }
        return places
    }

    private static func place(in bytes: UnsafeRawBufferPointer, _ answer: Range<Int>, index: Int) -> Place? {
        var cursor = JSONCursor(UnsafeRawBufferPointer(rebasing: bytes[answer]))
        guard cursor.openObject() else { return nil }
        var place = Place(index: index, elements: 0..<0)
        while let name = try? cursor.nextName(), let value = try? cursor.skipValue() {
            let range = value.lowerBound + answer.lowerBound..<value.upperBound + answer.lowerBound
            if name.is("index") {
                place.index = JSONScanner.integer(bytes, range) ?? index
            } else if name.is("meta_info"), let list = list(in: bytes, range) {
                place.elements = list
            }
        }
        return place.elements.lowerBound > 0 ? place : nil
    }

    private static func list(in bytes: UnsafeRawBufferPointer, _ info: Range<Int>) -> Range<Int>? {
        var cursor = JSONCursor(UnsafeRawBufferPointer(rebasing: bytes[info]))
        guard cursor.openObject() else { return nil }
        while let name = try? cursor.nextName(), let value = try? cursor.skipValue() {
            guard name.is("input_token_logprobs") else { continue }
            let range = value.lowerBound + info.lowerBound..<value.upperBound + info.lowerBound
            guard range.count >= 2, bytes[range.lowerBound] == UInt8(ascii: "[") else { return nil }
            return range.lowerBound + 1..<range.upperBound - 1
        }
        return nil
    }
}
