package import NIOCore

/// Makes one answer of the whole answers of a request's parts.
package enum PartAnswerMerge {
    /// The answer: the first part's, with every part's choice in it and the usage of all.
    ///
    /// - Parameters:
    ///   - bodies: answers in the order of the parts.
    ///   - id: the id that the whole answer shall have.
    /// - Returns: nil where an answer is not that of one choice.
    package static func merge(_ bodies: [ByteBuffer], of split: RequestSplit, id: String) -> ByteBuffer? {
        if split.request.endpoint == .native { return NativeSplit.merge(bodies) }
        guard let first = bodies.first else { return nil }
        var choices = ByteBuffer()
        var tally = UsageTally()
        choices.writeStaticString("[")
        for (part, body) in bodies.enumerated() {
            if part > 0 { choices.writeStaticString(",") }
            let isWhole = body.withUnsafeReadableBytes { bytes in
                let places = PartPlaces(reading: bytes)
                guard places.choices == 1, !places.choice.isEmpty else { return false }
                if !places.usage.isEmpty, let usage = try? JSONView(parsing: Array(bytes[places.usage])) {
                    tally.add(usage, countsPrompt: split.isFirstOfPrompt(part))
                }
                choices.writeText(reserving: places.choice.count + 16) { text in
                    let (choice, index) = (places.choice, places.index)
                    guard !index.isEmpty else { return text.write(UnsafeRawBufferPointer(rebasing: bytes[choice])) }
                    text.write(UnsafeRawBufferPointer(rebasing: bytes[choice.lowerBound..<index.lowerBound]))
                    text.writeDecimal(part)
                    text.write(UnsafeRawBufferPointer(rebasing: bytes[index.upperBound..<choice.upperBound]))
                }
                return true
            }
            guard isWhole else { return nil }
        }
        choices.writeStaticString("]")
        var splice = JSONSplice()
        splice.set("id") { $0.writeJSON(id) }
        splice.set("choices", large: choices)
        if !tally.isEmpty { splice.set("usage", json: tally.json) }
        // The parameters of one part would be taken for those of all.
        splice.set("kv_transfer_params", literal: "null", onlyReplacing: true)
        return splice.applied(to: first)
    }
}
