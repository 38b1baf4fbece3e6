package import NIOCore

/// A merged stream: what begins it, and the decoder's events as the client shall see them.
extension FirstTokenMerge {
    /// The stream's first bytes, sent as soon as the prefill answered.
    ///
    /// - Parameter complete: whether the first token was the last; then the stream ends here.
    package func streamStart(complete: Bool) -> [UInt8] {
        var output = ByteBuffer()
        output.writeText(reserving: 1024) { writeStart(complete: complete, to: &$0) }
        return Array(output.readableBytesView)
    }

    private func writeStart(complete: Bool, to output: inout TextWriter) {
        let choice = complete ? answer.places.choice : nil
        let finish = choice.flatMap { answer.raw($0.finishReason) }
        let stop = choice.flatMap { answer.raw($0.stopReason) }
        if endpoint == .completions {
            writeChunk(to: &output) { event in
                event.write(#""choices":[{"index":0,"text":"#)
                event.writeJSON(firstText)
                event.write(#","logprobs":null,"finish_reason":"#)
                Self.write(finish, to: &event)
                event.write(#","stop_reason":"#)
                Self.write(stop, to: &event)
                event.write(#","prompt_token_ids":null,"token_ids":null}]"#)
                if complete { writeFingerprint(to: &event) }
            }
        } else {
            writeChunk(to: &output) { event in
                event.write(#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"#)
                event.write(#""finish_reason":null}],"prompt_token_ids":null,"prompt_text":null"#)
            }
            writeChunk(to: &output) { event in
                event.write(#""choices":[{"index":0,"delta":{"content":"#)
                event.writeJSON(firstText)
                event.write(#"},"logprobs":null,"finish_reason":"#)
                Self.write(finish, to: &event)
                if complete {
                    event.write(#","stop_reason":"#)
                    Self.write(stop, to: &event)
                }
                event.write(#","token_ids":null}]"#)
            }
        }
        guard complete else { return }
        if wantsUsage { writeUsage(completionTokens: 1, nil, to: &output) }
        output.write("data: [DONE]\n\n")
    }

    /// Appends one event of the decoder's stream as the client shall see it. What is no chunk, such as `[DONE]` or an
    /// error, passes as it is.
    ///
    /// - Parameter data: the event's data, gone after the call.
    package func writeEvent(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        let event = DecodeAnswerPlaces(reading: data)
        output.writeText(reserving: data.count + chunkHead.readableBytes + 128) { text in
            if !event.isChunk {
                text.write("data: ")
                text.write(data)
                text.write("\n\n")
            } else if event.choices == 0 {
                let usage = event.usage.isEmpty ? nil : ByteBuffer(bytes: event.bytes(event.usage, in: data))
                writeUsage(completionTokens: event.completionTokens + tokensBefore, usage, to: &text)
            } else if endpoint == .completions {
                writeCompletion(event, data, to: &text)
            } else {
                writeChatChunk(event, data, to: &text)
            }
        }
    }

    /// A completion's chunk with the id and the time of the prefill's answer.
    private func writeCompletion(
        _ event: DecodeAnswerPlaces, _ data: UnsafeRawBufferPointer, to output: inout TextWriter
    ) {
        output.write("data: ")
        if event.ids == 1, event.createds == 1 {
            let idIsFirst = event.id.lowerBound < event.created.lowerBound
            let first = idIsFirst ? event.id : event.created
            let second = idIsFirst ? event.created : event.id
            output.write(UnsafeRawBufferPointer(rebasing: data[..<first.lowerBound]))
            output.write(idIsFirst ? id : created)
            output.write(UnsafeRawBufferPointer(rebasing: data[first.upperBound..<second.lowerBound]))
            output.write(idIsFirst ? created : id)
            output.write(UnsafeRawBufferPointer(rebasing: data[second.upperBound...]))
        } else {
            // No engine writes one of them never or twice.
            var splice = JSONSplice()
            splice.set("id") { $0.write(id) }
            splice.set("created") { $0.write(created) }
            if let spliced = splice.applied(to: ByteBuffer(bytes: data)) { output.write(spliced) }
        }
        output.write("\n\n")
    }

    /// A chat's chunk of a completion's. The text's JSON stays as the engine wrote it.
    private func writeChatChunk(
        _ event: DecodeAnswerPlaces, _ data: UnsafeRawBufferPointer, to output: inout TextWriter
    ) {
        writeChunk(to: &output) { chunk in
            chunk.write(#""choices":[{"index":0,"delta":{"content":"#)
            if event.text.isEmpty { chunk.write("\"\"") }
            chunk.write(event.bytes(event.text, in: data))
            guard event.isFinished else {
                chunk.write(#"},"logprobs":null,"finish_reason":null,"token_ids":null}]"#)
                return
            }
            chunk.write(#"},"logprobs":null,"finish_reason":"#)
            chunk.write(event.bytes(event.finishReason, in: data))
            chunk.write(#","stop_reason":"#)
            if event.stopReason.isEmpty { chunk.write("null") }
            chunk.write(event.bytes(event.stopReason, in: data))
            chunk.write(#","token_ids":null}]"#)
        }
    }

    // MARK: Parts of chunks

    /// Appends an event whose data is a chunk; `write` appends all members behind the model.
    @inline(__always)
    private func writeChunk(to output: inout TextWriter, _ write: (inout TextWriter) -> Void) {
        output.write("data: ")
        output.write(chunkHead)
        write(&output)
        output.write("}\n\n")
    }

    private func writeUsage(completionTokens: Int, _ usage: ByteBuffer?, to output: inout TextWriter) {
        writeChunk(to: &output) { event in
            event.write(#""choices":[],"usage":"#)
            writeMergedUsage(completionTokens: completionTokens, usage, to: &event)
            writeFingerprint(to: &event)
        }
    }

    private func writeFingerprint(to output: inout TextWriter) {
        guard let fingerprint else { return }
        output.write(",\"system_fingerprint\":")
        output.write(fingerprint)
    }

    /// The prompt as the prefill engine counted it, the completion as the client got it.
    func writeMergedUsage(completionTokens: Int, _ usage: ByteBuffer?, to output: inout TextWriter) {
        var splice = JSONSplice()
        splice.set("prompt_tokens", number: promptTokens)
        splice.set("total_tokens", number: promptTokens + completionTokens)
        splice.set("completion_tokens", number: completionTokens)
        let counted = usage ?? ByteBuffer(string: "{}")
        output.write(splice.applied(to: counted) ?? counted)
    }

    private static func write(_ json: ByteBuffer?, to output: inout TextWriter) {
        if let json { output.write(json) } else { output.write("null") }
    }
}
