package import NIOCore

/// How each endpoint's clients read errors.
extension GenerationRequest.Endpoint {
    /// The error as a whole answer's body.
    package func errorBody(_ error: DisaggError) -> ByteBuffer {
        guard self == .messages else { return error.openAIBody }
        return ByteBuffer(string: Self.anthropicError(error))
    }

    /// What ends a stream that failed after it began: the error as this endpoint's streams write it, and the end.
    ///
    /// - Parameter lastSequenceNumber: the highest `sequence_number` that was sent, for ``responses``.
    package func errorEvents(_ error: DisaggError, lastSequenceNumber: Int? = nil) -> ByteBuffer {
        var events = ByteBuffer()
        switch self {
        case .completions, .chatCompletions, .generate, .native:
            events.writeStaticString("data: ")
            events.writeImmutableBuffer(error.openAIBody)
            events.writeStaticString("\n\ndata: [DONE]\n\n")
        case .messages:
            events.writeString("event: error\ndata: \(Self.anthropicError(error))\n\n")
        case .responses:
            // OpenAI's `ResponseErrorEvent`: flat, and numbered like every event of the stream.
            let number = (lastSequenceNumber ?? -1) &+ 1
            events.writeString(
                #"event: error\#ndata: {"type":"error","code":"\#(error.code.type)","#
                    + #""message":\#(JSONString.encode(error.message)),"#
                    + #""param":\#(error.parameter.map { JSONString.encode($0) } ?? "null"),"#
                    + "\"sequence_number\":\(number)}\n\n")
        }
        return events
    }

    /// An engine's own error body, which came when the stream had begun already, as the stream's end.
    package func errorEvents(engineBody: ByteBuffer) -> ByteBuffer {
        var events = ByteBuffer()
        events.writeString(namesEvents ? "event: error\ndata: " : "data: ")
        // An event's data has one line here; line ends mean nothing in JSON.
        for byte in engineBody.readableBytesView { events.writeInteger(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
        events.writeStaticString(endsWithDone ? "\n\ndata: [DONE]\n\n" : "\n\n")
        return events
    }

    /// Anthropic's vocabulary of errors by HTTP status.
    ///
    /// Source: vLLM 0.33.0 `anthropic/protocol.py` 32-53.
    private static func anthropicError(_ error: DisaggError) -> String {
        let type =
            switch error.code.statusCode {
            case 401: "authentication_error"
            case 403: "permission_error"
            case 404: "not_found_error"
            case 413: "request_too_large"
            case 429: "rate_limit_error"
            case 503: "overloaded_error"
            case 500...: "api_error"
            default: "invalid_request_error"
            }
        return #"{"type":"error","error":{"type":"\#(type)","message":\#(JSONString.encode(error.message))}}"#
    }
}

/// Finds the number of the last event in a piece of a responses stream, so that an error event can follow on it.
package enum SequenceNumber {
    private static let name: StaticString = "\"sequence_number\":"

    /// The last `sequence_number` in some bytes, searched from their end; nil where there is none.
    ///
    /// In a string the name's quotes would be escaped: so every match is a member.
    package static func last(in bytes: UnsafeRawBufferPointer) -> Int? {
        let length = name.utf8CodeUnitCount
        var index = bytes.count - length - 1
        while index >= 0 {
            if bytes[index] == UInt8(ascii: "\""), ByteBlock.isEqual(bytes, index, name) {
                var end = index + length
                let start = end
                // 18 digits fit; no stream has so many events.
                while end < bytes.count, end - start < 18, JSONScanner.isDigit(bytes[end]) { end += 1 }
                return JSONScanner.integer(bytes, start..<end)
            }
            index -= 1
        }
        return nil
    }
}
