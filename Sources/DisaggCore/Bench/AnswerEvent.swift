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
        if equals(bytes, 0..<bytes.count, "[DONE]") {
            event.isEnd = true
            return event
        }
        do throws(JSONSyntaxError) {
            let end = try members(bytes, JSONScanner.skipWhitespace(bytes, 0)) { name, value throws(JSONSyntaxError) in
                if equals(bytes, name, #""choices""#) {
                    try event.readChoices(bytes, value)
                } else if equals(bytes, name, #""usage""#) {
                    try event.readUsage(bytes, value)
                } else if equals(bytes, name, #""error""#), bytes[value.lowerBound] != UInt8(ascii: "n") {
                    event.isError = true
                }
            }
            return JSONScanner.skipWhitespace(bytes, end) == bytes.count ? event : nil
        } catch {
            return nil
        }
    }

    private mutating func readUsage(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) throws(JSONSyntaxError) {
        guard bytes[value.lowerBound] == UInt8(ascii: "{") else { return }
        var usage = Usage()
        _ = try Self.members(bytes, value.lowerBound) { name, value in
            if Self.equals(bytes, name, #""completion_tokens""#) {
                usage.completion = HTTPFieldSyntax.parseLength(bytes, value)
            } else if Self.equals(bytes, name, #""prompt_tokens""#) {
                usage.prompt = HTTPFieldSyntax.parseLength(bytes, value)
            }
        }
        self.usage = usage
    }

    /// Only the first choice is read: one is all that is asked for.
    private mutating func readChoices(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) throws(JSONSyntaxError) {
        guard bytes[value.lowerBound] == UInt8(ascii: "[") else { return }
        let first = JSONScanner.skipWhitespace(bytes, value.lowerBound + 1)
        guard bytes[first] == UInt8(ascii: "{") else { return }
        var content = Content()
        _ = try Self.members(bytes, first) { name, value throws(JSONSyntaxError) in
            switch bytes[value.lowerBound] {
            case UInt8(ascii: "\""):
                if Self.equals(bytes, name, #""text""#) {
                    content.addText(bytes, value)
                } else if Self.equals(bytes, name, #""finish_reason""#) {
                    content.isFinished = true
                }
            case UInt8(ascii: "{"):
                if Self.equals(bytes, name, #""delta""#) || Self.equals(bytes, name, #""message""#) {
                    try content.readDelta(bytes, value)
                }
            case UInt8(ascii: "["):
                if Self.equals(bytes, name, #""token_ids""#) { content.ids = try Self.count(bytes, value) }
            default: break
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

        mutating func readDelta(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) throws(JSONSyntaxError) {
            _ = try AnswerEvent.members(bytes, value.lowerBound) { name, value in
                let kind = bytes[value.lowerBound]
                if AnswerEvent.equals(bytes, name, #""role""#) {
                    isOpening = true
                } else if kind == UInt8(ascii: "\"") {
                    if AnswerEvent.equals(bytes, name, #""content""#)
                        || AnswerEvent.equals(bytes, name, #""reasoning_content""#)
                        || AnswerEvent.equals(bytes, name, #""reasoning""#)
                    {
                        addText(bytes, value)
                    }
                } else if AnswerEvent.equals(bytes, name, #""tool_calls""#), value.count > 2 {
                    hasText = hasText || kind == UInt8(ascii: "[")
                }
            }
        }
    }

    // MARK: JSON

    /// Calls `body` with the ranges of each member of the object that starts at `start`; returns where it ends.
    @inline(__always)
    private static func members(
        _ bytes: UnsafeRawBufferPointer, _ start: Int,
        _ body: (_ name: Range<Int>, _ value: Range<Int>) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) -> Int {
        guard start < bytes.count, bytes[start] == UInt8(ascii: "{") else {
            throw JSONSyntaxError(reason: "expected a JSON object", offset: start)
        }
        var index = JSONScanner.skipWhitespace(bytes, start + 1)
        if index < bytes.count, bytes[index] == UInt8(ascii: "}") { return index + 1 }
        while true {
            let name = index
            let colonEnd = try JSONScanner.skipKey(bytes, name)
            let nameEnd = try JSONScanner.skipString(bytes, name)
            let value = JSONScanner.skipWhitespace(bytes, colonEnd)
            index = try JSONScanner.skipValue(bytes, value)
            try body(name..<nameEnd, value..<index)
            index = JSONScanner.skipWhitespace(bytes, index)
            guard index < bytes.count else { throw JSONSyntaxError(reason: "an object is not closed", offset: start) }
            if bytes[index] == UInt8(ascii: "}") { return index + 1 }
            guard bytes[index] == UInt8(ascii: ",") else {
                throw JSONSyntaxError(reason: "expected a comma or a closing bracket", offset: index)
            }
            index = JSONScanner.skipWhitespace(bytes, index + 1)
        }
    }

    /// The number of elements of an array.
    private static func count(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) throws(JSONSyntaxError) -> Int {
        var index = JSONScanner.skipWhitespace(bytes, value.lowerBound + 1)
        var number = 0
        while index < value.upperBound - 1 {
            number += 1
            index = JSONScanner.skipWhitespace(bytes, try JSONScanner.skipValue(bytes, index))
            if index < value.upperBound - 1 { index = JSONScanner.skipWhitespace(bytes, index + 1) }
        }
        return number
    }

    private static func equals(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where bytes[range.lowerBound + offset] != text.utf8Start[offset] { return false }
        return true
    }

    private static func lastNumber(_ bytes: UnsafeRawBufferPointer, _ text: Range<Int>) -> Int? {
        var end = text.upperBound
        while end > text.lowerBound, !JSONScanner.isDigit(bytes[end - 1]) { end -= 1 }
        var start = end
        while start > text.lowerBound, JSONScanner.isDigit(bytes[start - 1]) { start -= 1 }
        return start < end ? HTTPFieldSyntax.parseLength(bytes, start..<end) : nil
    }
}
