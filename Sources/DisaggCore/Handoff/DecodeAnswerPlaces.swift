/// Where the values stand that a merge needs from a decoder's completion, or from one chunk of it: offsets that are empty
/// where there is none.
///
/// Read once for each token: allocates nothing and compares names as bytes.
struct DecodeAnswerPlaces {
    /// Whether the text is a JSON object that tells no error.
    private(set) var isChunk = false
    private(set) var id = 0..<0
    private(set) var created = 0..<0
    /// How often each name is there.
    private(set) var ids = 0
    private(set) var createds = 0
    /// Elements of `choices`.
    private(set) var choices = 0
    /// Of the first choice: `text`, where it is a string.
    private(set) var text = 0..<0
    private(set) var finishReason = 0..<0
    private(set) var stopReason = 0..<0
    /// Whether `finish_reason` is there and not null.
    private(set) var isFinished = false
    private(set) var usage = 0..<0
    /// `usage.completion_tokens`, 0 where it is no count.
    private(set) var completionTokens = 0

    /// Reads an answer or the data of an event.
    init(reading bytes: UnsafeRawBufferPointer) {
        var places = Self()
        places.isChunk = true
        let isRead = JSONCursor.readMembers(of: bytes) { name, cursor throws(JSONSyntaxError) in
            try places.read(name, &cursor)
        }
        self = isRead ? places : Self()
    }

    private init() {}

    /// The bytes at a place.
    @inline(__always)
    func bytes(_ place: Range<Int>, in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[place])
    }

    private mutating func read(_ name: JSONCursor.Name, _ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        if name.is("id") {
            id = try cursor.skipValue()
            ids += 1
        } else if name.is("created") {
            created = try cursor.skipValue()
            createds += 1
        } else if name.is("choices") {
            try readChoices(&cursor)
        } else if name.is("usage") {
            try readUsage(&cursor)
        } else if name.is("error") {
            try cursor.skipValue()
            isChunk = false
        } else {
            try cursor.skipValue()
        }
    }

    private mutating func readChoices(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        choices = 0
        (text, finishReason, stopReason, isFinished) = (0..<0, 0..<0, 0..<0, false)
        guard cursor.openArray() else {
            _ = try cursor.skipValue()
            return
        }
        while try cursor.nextElement() {
            choices += 1
            guard choices == 1, cursor.openObject() else {
                try cursor.skipValue()
                continue
            }
            while let name = try cursor.nextName() {
                if name.is("text") {
                    let isString = cursor.isAt(UInt8(ascii: "\""))
                    let value = try cursor.skipValue()
                    text = isString ? value : 0..<0
                } else if name.is("finish_reason") {
                    isFinished = !cursor.isAt(UInt8(ascii: "n"))
                    finishReason = try cursor.skipValue()
                } else if name.is("stop_reason") {
                    stopReason = try cursor.skipValue()
                } else {
                    try cursor.skipValue()
                }
            }
        }
    }

    private mutating func readUsage(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        let start = cursor.index
        completionTokens = 0
        if cursor.openObject() {
            while let name = try cursor.nextName() {
                let value = try cursor.skipValue()
                if name.is("completion_tokens") {
                    completionTokens = PrefillAnswerPlaces.tokenCount(cursor.bytes, value) ?? 0
                }
            }
        } else {
            try cursor.skipValue()
        }
        usage = start..<cursor.index
    }
}
