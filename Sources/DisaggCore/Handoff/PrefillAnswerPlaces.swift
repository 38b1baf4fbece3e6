/// Where the values stand that a hand-off needs from a prefill engine's answer, as offsets; empty where there is none.
///
/// Of a name that is given twice the last one counts, as Python reads it.
struct PrefillAnswerPlaces: Sendable {
    /// The first of `choices`.
    struct Choice: Sendable {
        var range = 0..<0
        /// `text`, where it is a string.
        var text = 0..<0
        /// `message`, whatever it is.
        var message = 0..<0
        /// `message.content`, where it is a string.
        var content = 0..<0
        /// A parser took the token: then one of these message's fields is there.
        var reasoning = false
        var reasoningContent = false
        var toolCalls = false
        var finishReason = 0..<0
        var stopReason = 0..<0
        var promptTokens = 0..<0
        /// `disaggregated_params`, where it is an object.
        var disaggregatedParameters = 0..<0

        /// Whether the token's text was taken out of the message.
        var isParsed: Bool { reasoning || reasoningContent || toolCalls }
    }

    var id = 0..<0
    var created = 0..<0
    var model = 0..<0
    var fingerprint = 0..<0
    /// The only choice; nil where there is none or more than one.
    private(set) var choice: Choice?
    private var ownPromptTokens = 0..<0
    private(set) var usage = 0..<0
    /// `usage.prompt_tokens`, `input_tokens` for responses and messages; nil where it is no count.
    private(set) var promptTokenCount: Int?
    /// `cached_tokens` of `usage.prompt_tokens_details` or `input_tokens_details`, or `cache_read_input_tokens`.
    private(set) var cachedTokens: Int?
    /// `kv_transfer_params`, where it is an object.
    private(set) var transferParameters = 0..<0
    /// `kv_transfer_params.first_tok`, where it is an integer.
    private(set) var firstToken: Int?

    /// `prompt_token_ids`, where it is an array: the choice's, else the answer's.
    var promptTokens: Range<Int> {
        guard let own = choice?.promptTokens, !own.isEmpty else { return ownPromptTokens }
        return own
    }

    /// Reads an answer; everything is empty where it is not one JSON object.
    init(reading bytes: UnsafeRawBufferPointer) {
        var places = Self()
        let isRead = JSONCursor.readMembers(of: bytes) { name, cursor throws(JSONSyntaxError) in
            try places.read(name, &cursor)
        }
        self = isRead ? places : Self()
    }

    private init() {}

    private mutating func read(_ name: JSONCursor.Name, _ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        if name.is("id") {
            id = try cursor.skipValue()
        } else if name.is("created") {
            created = try cursor.skipValue()
        } else if name.is("model") {
            model = try cursor.skipValue()
        } else if name.is("system_fingerprint") {
            fingerprint = try cursor.skipValue()
        } else if name.is("choices") {
            try readChoices(&cursor)
        } else if name.is("prompt_token_ids") {
            ownPromptTokens = try Self.value(UInt8(ascii: "["), &cursor)
        } else if name.is("usage") {
            try readUsage(&cursor)
        } else if name.is("kv_transfer_params") {
            try readTransferParameters(&cursor)
        } else {
            try cursor.skipValue()
        }
    }

    private mutating func readUsage(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        let start = cursor.index
        promptTokenCount = nil
        cachedTokens = nil
        if cursor.openObject() {
            while let name = try cursor.nextName() {
                if name.is("prompt_tokens_details") || name.is("input_tokens_details") {
                    try readDetails(&cursor)
                    continue
                }
                let value = try cursor.skipValue()
                if name.is("prompt_tokens") || name.is("input_tokens") {
                    promptTokenCount = Self.tokenCount(cursor.bytes, value)
                } else if name.is("cache_read_input_tokens") {
                    cachedTokens = Self.tokenCount(cursor.bytes, value)
                }
            }
        } else {
            try cursor.skipValue()
        }
        usage = start..<cursor.index
    }

    private mutating func readDetails(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        guard cursor.openObject() else {
            _ = try cursor.skipValue()
            return
        }
        while let name = try cursor.nextName() {
            let value = try cursor.skipValue()
            if name.is("cached_tokens") { cachedTokens = Self.tokenCount(cursor.bytes, value) }
        }
    }

    private mutating func readTransferParameters(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        let start = cursor.index
        firstToken = nil
        transferParameters = 0..<0
        guard cursor.openObject() else {
            _ = try cursor.skipValue()
            return
        }
        while let name = try cursor.nextName() {
            let value = try cursor.skipValue()
            if name.is("first_tok") { firstToken = JSONScanner.integer(cursor.bytes, value) }
        }
        transferParameters = start..<cursor.index
    }

    private mutating func readChoices(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        choice = nil
        guard cursor.openArray() else {
            _ = try cursor.skipValue()
            return
        }
        var count = 0
        while try cursor.nextElement() {
            if count == 0 { choice = try Self.readChoice(&cursor) } else { try cursor.skipValue() }
            count += 1
        }
        if count > 1 { choice = nil }
    }

    private static func readChoice(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Choice {
        var choice = Choice()
        let start = cursor.index
        if cursor.openObject() {
            while let name = try cursor.nextName() {
                if name.is("text") {
                    choice.text = try value(UInt8(ascii: "\""), &cursor)
                } else if name.is("message") {
                    try readMessage(&cursor, into: &choice)
                } else if name.is("finish_reason") {
                    choice.finishReason = try cursor.skipValue()
                } else if name.is("stop_reason") {
                    choice.stopReason = try cursor.skipValue()
                } else if name.is("prompt_token_ids") {
                    choice.promptTokens = try value(UInt8(ascii: "["), &cursor)
                } else if name.is("disaggregated_params") {
                    choice.disaggregatedParameters = try value(UInt8(ascii: "{"), &cursor)
                } else {
                    try cursor.skipValue()
                }
            }
        } else {
            try cursor.skipValue()
        }
        choice.range = start..<cursor.index
        return choice
    }

    private static func readMessage(
        _ cursor: inout JSONCursor, into choice: inout Choice
    ) throws(JSONSyntaxError) {
        let start = cursor.index
        choice.content = 0..<0
        (choice.reasoning, choice.reasoningContent, choice.toolCalls) = (false, false, false)
        if cursor.openObject() {
            while let name = try cursor.nextName() {
                if name.is("content") {
                    choice.content = try value(UInt8(ascii: "\""), &cursor)
                } else if name.is("reasoning") {
                    choice.reasoning = try tookTheToken(&cursor)
                } else if name.is("reasoning_content") {
                    choice.reasoningContent = try tookTheToken(&cursor)
                } else if name.is("tool_calls") {
                    choice.toolCalls = try tookTheToken(&cursor)
                } else {
                    try cursor.skipValue()
                }
            }
        } else {
            try cursor.skipValue()
        }
        choice.message = start..<cursor.index
    }

    /// Reads a parser's field: `[]` is what engines write where there are no tool calls.
    private static func tookTheToken(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Bool {
        let value = try cursor.skipValue()
        let isEmpty = value.count == 2 && ByteBlock.isEqual(cursor.bytes, value.lowerBound, "[]")
        return !isEmpty && cursor.bytes[value.lowerBound] != UInt8(ascii: "n")
    }

    /// Reads a value; nothing where it does not begin with `first`.
    private static func value(_ first: UInt8, _ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Range<Int> {
        let isWanted = cursor.isAt(first)
        let range = try cursor.skipValue()
        return isWanted ? range : 0..<0
    }

    /// A count of tokens that an engine tells: nil where it is no count, so that sums of counts cannot overflow.
    static func tokenCount(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard let count = JSONScanner.integer(bytes, range), (0...1 << 40).contains(count) else { return nil }
        return count
    }
}
