/// What one event of a stream, or one whole answer, says; read without building a tree.
struct AnswerEvent: Equatable {
    /// Tokens the engine counted, where the event has a `usage`.
    struct Usage: Equatable {
        var prompt: Int?
        var completion: Int?
    }

    /// The stream's `[DONE]`.
    var isEnd = false
    /// An error object in place of an answer.
    var isError = false
    /// Tokens in the event: as many as it has ids, else one where it brings text or is in the middle of a text.
    var tokens = 0
    /// The choice has a reason to finish.
    var isFinished = false
    var usage: Usage?
    /// The last number in the token's text; what an engine that numbers its tokens writes there.
    var number: Int?

    /// Reads the `data` of one event.
    ///
    /// - Returns: nil where it is no JSON object.
    static func read(_ bytes: UnsafeRawBufferPointer) -> AnswerEvent? {
        var event = AnswerEvent()
        if bytes.count == 6, ByteBlock.isEqual(bytes, 0, "[DONE]") {
            event.isEnd = true
            return event
        }
        do throws(JSONSyntaxError) {
            var cursor = JSONCursor(bytes)
            guard cursor.openObject() else { return nil }
            while let name = try cursor.nextName() {
                if name.is("choices") {
                    try event.readChoices(&cursor)
                } else if name.is("usage") {
                    try event.readUsage(&cursor)
                } else {
                    if name.is("error"), !cursor.isAt(UInt8(ascii: "n")) { event.isError = true }
                    try cursor.skipValue()
                }
            }
            try cursor.finish()
            return event
        } catch {
            return nil
        }
    }

    private mutating func readUsage(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        guard cursor.openObject() else {
            try cursor.skipValue()
            return
        }
        var usage = Usage()
        while let name = try cursor.nextName() {
            let value = try cursor.skipValue()
            if name.is("completion_tokens") {
                usage.completion = HTTPFieldSyntax.parseLength(cursor.bytes, value)
            } else if name.is("prompt_tokens") {
                usage.prompt = HTTPFieldSyntax.parseLength(cursor.bytes, value)
            }
        }
        self.usage = usage
    }

    /// Only the first choice is read: one is all that is asked for.
    private mutating func readChoices(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        guard cursor.openArray() else {
            try cursor.skipValue()
            return
        }
        var isFirst = true
        while try cursor.nextElement() {
            if isFirst, cursor.openObject() { try readChoice(&cursor) } else { try cursor.skipValue() }
            isFirst = false
        }
    }

    private mutating func readChoice(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        var content = Content()
        while let name = try cursor.nextName() {
            let isString = cursor.isAt(UInt8(ascii: "\""))
            if cursor.isAt(UInt8(ascii: "{")), name.is("delta") || name.is("message") {
                try content.readDelta(&cursor)
            } else if cursor.isAt(UInt8(ascii: "[")), name.is("token_ids") {
                content.ids = try Self.count(&cursor)
            } else {
                let value = try cursor.skipValue()
                if isString, name.is("text") { content.addText(cursor.bytes, value) }
                if isString, name.is("finish_reason") { content.isFinished = true }
            }
        }
        isFinished = content.isFinished
        number = content.number
        // A token may have no text of its own: half a character. The event that opens a chat has none and is no token,
        // and neither is the one in which some engines send the reason alone.
        tokens = content.ids ?? (content.hasText || !(content.isFinished || content.isOpening) ? 1 : 0)
    }

    private struct Content {
        var hasText = false
        var isOpening = false
        var isFinished = false
        var ids: Int?
        var number: Int?

        mutating func addText(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) {
            guard value.count > 2 else { return }
            hasText = true
            number = AnswerEvent.lastNumber(bytes, value)
        }

        /// Reads a message, or a part of one, that is an object.
        mutating func readDelta(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
            guard cursor.openObject() else { return }
            while let name = try cursor.nextName() {
                let isString = cursor.isAt(UInt8(ascii: "\""))
                let isArray = cursor.isAt(UInt8(ascii: "["))
                let value = try cursor.skipValue()
                if name.is("role") {
                    isOpening = true
                } else if isString {
                    if name.is("content") || name.is("reasoning_content") || name.is("reasoning") {
                        addText(cursor.bytes, value)
                    }
                } else if isArray, value.count > 2, name.is("tool_calls") {
                    hasText = true
                }
            }
        }
    }

    /// Reads an array and counts its elements.
    private static func count(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Int {
        guard cursor.openArray() else { return 0 }
        var number = 0
        while try cursor.nextElement() {
            try cursor.skipValue()
            number += 1
        }
        return number
    }

    private static func lastNumber(_ bytes: UnsafeRawBufferPointer, _ text: Range<Int>) -> Int? {
        var end = text.upperBound
        while end > text.lowerBound, !JSONScanner.isDigit(bytes[end - 1]) { end -= 1 }
        var start = end
        while start > text.lowerBound, JSONScanner.isDigit(bytes[start - 1]) { start -= 1 }
        return start < end ? HTTPFieldSyntax.parseLength(bytes, start..<end) : nil
    }
}
