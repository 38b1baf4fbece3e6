internal import NIOCore

/// A merged answer in one piece.
extension FirstTokenMerge {
    /// The whole answer, from the prefill's alone where `decode` is nil.
    ///
    /// - Returns: nil where the decoder's answer has not the shape of one choice; it is then passed on as it came.
    package func wholeAnswer(decode: [UInt8]?) -> [UInt8]? {
        guard let choice = answer.places.choice, let ownChoice = answer.raw(choice.range) else { return nil }
        var choiceSplice = JSONSplice()
        var splice = JSONSplice()
        for field in ["prompt_token_ids", "token_ids"] as [StaticString] {
            choiceSplice.set(field, literal: "null", onlyReplacing: true)
        }
        choiceSplice.remove("disaggregated_params")
        if let decode {
            let isWhole = decode.withUnsafeBytes { bytes in
                let continued = DecodeAnswerPlaces(reading: bytes)
                guard continued.choices == 1, !continued.text.isEmpty else { return false }
                join(choice, continued, bytes, &choiceSplice)
                splice.set("usage") { json in
                    writeMergedUsage(
                        completionTokens: continued.completionTokens + 1, answer.raw(answer.places.usage), to: &json)
                }
                return true
            }
            guard isWhole else { return nil }
        }
        guard let newChoice = choiceSplice.applied(to: ownChoice) else { return nil }
        splice.set("choices") { json in
            json.write("[")
            json.write(newChoice)
            json.write("]")
        }
        splice.set("prompt_token_ids", literal: "null", onlyReplacing: true)
        splice.set("kv_transfer_params", literal: "null", onlyReplacing: true)
        return splice.applied(to: answer.body).map { Array($0.readableBytesView) }
    }

    /// Sets what the decoder's choice continues or ends.
    private func join(
        _ choice: PrefillAnswerPlaces.Choice, _ continued: DecodeAnswerPlaces, _ bytes: UnsafeRawBufferPointer,
        _ splice: inout JSONSplice
    ) {
        let text = UnsafeRawBufferPointer(rebasing: bytes[continued.text])
        // The decoder's text goes behind the first one, with one pair of quotes around both.
        func writeJoined(_ json: inout TextWriter) {
            json.write("\"")
            JSONString.forEachEscapedRun(firstText) { json.write($0) }
            json.write(UnsafeRawBufferPointer(rebasing: text.dropFirst()))
        }
        if endpoint == .completions {
            splice.set("text", write: writeJoined)
        } else if let message = answer.raw(choice.message) {
            var messageSplice = JSONSplice()
            messageSplice.set("content", write: writeJoined)
            if let joined = messageSplice.applied(to: message) { splice.set("message") { $0.write(joined) } }
        }
        for (name, value) in [("finish_reason", continued.finishReason), ("stop_reason", continued.stopReason)]
            as [(StaticString, Range<Int>)]
        {
            splice.set(name) { json in
                if value.isEmpty { json.write("null") }
                json.write(continued.bytes(value, in: bytes))
            }
        }
    }
}
