package import NIOCore

/// Makes one stream of the streams of a request's parts: each event as it comes, with the index of its choice, and one
/// id, one `created`, one usage chunk and one `[DONE]` for all.
package struct PartStreamMerge: Sendable {
    /// What an event of a part means for the whole.
    package enum Outcome: Sendable, Equatable {
        /// The event was written, or is kept for the end.
        case goesOn
        /// The part failed: the event was written and is the stream's last but `[DONE]`.
        case failed
    }

    /// The id of every chunk, as JSON text.
    private let id: ByteBuffer
    /// Samples of each prompt where the stream is one of SGLang's `/generate`; nil where not.
    private let samples: Int?
    /// `created` of every chunk, as JSON text: that of the first that came.
    private var created: ByteBuffer?
    private var tally = UsageTally()
    /// The last usage chunk that came: the mould for the one that is sent.
    private var usageChunk: ByteBuffer?

    /// Creates a merge.
    ///
    /// - Parameters:
    ///   - id: the id that the whole answer shall have.
    ///   - samples: samples of each prompt where the stream is one of SGLang's `/generate`, whose parts are one sample of
    ///     every prompt; nil for the other endpoints.
    package init(id: String, samples: Int? = nil) {
        self.id = ByteBuffer(string: JSONString.encode(id))
        self.samples = samples
    }

    /// Appends an event of a part as the client shall see it.
    ///
    /// - Parameters:
    ///   - data: the event's data, gone after the call.
    ///   - index: the index of the part's choice.
    ///   - countsPrompt: whether the part's prompt tokens are counted, as ``UsageTally`` takes it.
    package mutating func write(
        _ data: UnsafeRawBufferPointer, index: Int, countsPrompt: Bool, to output: inout ByteBuffer
    ) -> Outcome {
        let places = PartPlaces(reading: data)
        guard places.isObject else {
            // `[DONE]`, and comments of engines: the whole has its own end.
            return .goesOn
        }
        if places.isError {
            Self.write(data, to: &output)
            return .failed
        }
        if let samples {
            guard let event = NativeSplit.event(data, part: index, samples: samples) else { return .goesOn }
            event.withUnsafeReadableBytes { Self.write($0, to: &output) }
            return .goesOn
        }
        if places.choices == 0, !places.usage.isEmpty {
            keep(data, usage: places.usage, countsPrompt: countsPrompt)
            return .goesOn
        }
        if created == nil, !places.created.isEmpty { created = ByteBuffer(bytes: data[places.created]) }
        output.writeText(reserving: data.count + id.readableBytes + 32) { text in
            text.write("data: ")
            splice(data, places, index: index, to: &text)
            text.write("\n\n")
        }
        return .goesOn
    }

    /// Appends the stream's end: the usage chunk where the parts had one, and `[DONE]`.
    package func writeEnd(to output: inout ByteBuffer) {
        if let usageChunk {
            var splice = JSONSplice()
            splice.set("id", large: id)
            if let created { splice.set("created", large: created) }
            splice.set("usage", json: tally.json)
            if let chunk = splice.applied(to: usageChunk) {
                chunk.withUnsafeReadableBytes { Self.write($0, to: &output) }
            }
        }
        output.writeStaticString("data: [DONE]\n\n")
    }

    private mutating func keep(_ data: UnsafeRawBufferPointer, usage: Range<Int>, countsPrompt: Bool) {
        if let view = try? JSONView(parsing: Array(data[usage])) { tally.add(view, countsPrompt: countsPrompt) }
        usageChunk = ByteBuffer(bytes: data)
    }

    private static func write(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        output.writeStaticString("data: ")
        output.writeBytes(data)
        output.writeStaticString("\n\n")
    }

    /// The chunk with id, created and index replaced, which stand in any order.
    private func splice(
        _ data: UnsafeRawBufferPointer, _ places: PartPlaces, index: Int, to text: inout TextWriter
    ) {
        var start = 0
        while true {
            let next = Self.nearer(Self.nearer(places.id, places.created, start), places.index, start)
            guard !next.isEmpty else { break }
            text.write(UnsafeRawBufferPointer(rebasing: data[start..<next.lowerBound]))
            if next == places.id {
                text.write(id)
            } else if next == places.index {
                text.writeDecimal(index)
            } else if let created {
                text.write(created)
            }
            start = next.upperBound
        }
        text.write(UnsafeRawBufferPointer(rebasing: data[start...]))
    }

    /// Of two places the nearer one that is not ahead of `start`; empty where there is none.
    private static func nearer(_ left: Range<Int>, _ right: Range<Int>, _ start: Int) -> Range<Int> {
        let hasLeft = !left.isEmpty && left.lowerBound >= start
        guard !right.isEmpty, right.lowerBound >= start else { return hasLeft ? left : 0..<0 }
        return hasLeft && left.lowerBound < right.lowerBound ? left : right
    }
}
