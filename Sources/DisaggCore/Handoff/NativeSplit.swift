internal import NIOCore

/// SGLang's `/generate` for several samples of each prompt as requests for one sample, and one answer of theirs.
///
/// A batch stays a batch: each part asks for one sample of every prompt, so lists that have an element a prompt stay as they
/// are. The samples of one prompt stand together in the answer, as SGLang has them.
/// Source: SGLang `managers/io_struct.py` `_handle_parallel_sampling`, `managers/tokenizer_manager.py`
/// `_handle_batch_request`.
enum NativeSplit {
    private static let oneSample = JSONSplice(removing: ["n"])

    /// What makes a part of a request: one sample, and no `rid`, as SGLang gives each sample one of its own.
    static func splice(_ members: MemberReader) -> JSONSplice {
        var splice = JSONSplice(removing: ["rid"])
        guard let sampling = members.raw("sampling_params") else { return splice }
        if let object = oneSample.applied(to: sampling) {
            splice.set("sampling_params") { $0.write(object) }
        } else {
            // One object for each prompt.
            splice.set("sampling_params") { json in
                json.write("[")
                for (index, reader) in members.objects("sampling_params").enumerated() {
                    if index > 0 { json.write(",") }
                    json.write(oneSample.applied(to: reader.body) ?? reader.body)
                }
                json.write("]")
            }
        }
        return splice
    }

    /// The place of a part's result in the whole answer.
    ///
    /// - Parameters:
    ///   - prompt: the result's place in the part's answer, which has one for each prompt.
    ///   - part: which sample of each prompt the part is.
    ///   - samples: samples of each prompt.
    private static func place(prompt: Int, part: Int, samples: Int) -> Int { prompt &* samples &+ part }

    /// A part's event as the client shall see it; nil where it is no object.
    static func event(_ data: UnsafeRawBufferPointer, part: Int, samples: Int) -> ByteBuffer? {
        let event = ByteBuffer(bytes: data)
        guard let table = try? JSONMemberTable(scanning: event) else { return nil }
        let prompt = MemberReader(body: event, table: table).int("index") ?? 0
        var splice = JSONSplice()
        splice.set("index", number: place(prompt: prompt, part: part, samples: samples))
        return splice.applied(to: event)
    }

    /// One list of the parts' answers; nil where an answer is neither a result nor a list with one for each prompt.
    static func merge(_ bodies: [ByteBuffer]) -> ByteBuffer? {
        let parts = bodies.map(results)
        guard let prompts = parts.first?.count, prompts > 0, parts.allSatisfy({ $0.count == prompts }) else {
            return nil
        }
        var answer = ByteBuffer()
        answer.writeStaticString("[")
        for place in 0..<(prompts * parts.count) {
            if place > 0 { answer.writeStaticString(",") }
            answer.writeImmutableBuffer(parts[place % parts.count][place / parts.count])
        }
        answer.writeStaticString("]")
        return answer
    }

    private static func results(_ body: ByteBuffer) -> [ByteBuffer] {
        let ranges: [Range<Int>] = body.withUnsafeReadableBytes { bytes in
            var cursor = JSONCursor(bytes)
            guard cursor.openArray() else {
                return JSONCursor.readMembers(of: bytes) { _, cursor throws(JSONSyntaxError) in try cursor.skipValue() }
                    ? [0..<bytes.count] : []
            }
            var ranges: [Range<Int>] = []
            while (try? cursor.nextElement()) == true, let value = try? cursor.skipValue() { ranges.append(value) }
            return ranges
        }
        return ranges.compactMap { body.getSlice(at: body.readerIndex + $0.lowerBound, length: $0.count) }
    }
}
