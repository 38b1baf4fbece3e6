internal import NIOCore

/// Where a stream's chunk holds token ids, and what a stream's head is made of: offsets, empty where there is none.
struct StreamEventPlaces {
    private(set) var isChunk = false
    private(set) var id = 0..<0
    private(set) var created = 0..<0
    private(set) var model = 0..<0
    /// `prompt_token_ids` of the chunk or of its choice, where it is a list.
    private(set) var promptTokens = 0..<0
    /// `token_ids` of the only choice, where it is a list.
    private(set) var tokens = 0..<0
    private(set) var isFinished = false
    private var choices = 0..<0
    private var choice = 0..<0
    private var choiceCount = 0

    /// Whether there are ids that the client did not ask for.
    var hasIDs: Bool { !tokens.isEmpty || !promptTokens.isEmpty }

    init(reading bytes: UnsafeRawBufferPointer) {
        var places = Self()
        let isRead = JSONCursor.readMembers(of: bytes) { name, cursor throws(JSONSyntaxError) in
            try places.read(name, &cursor)
        }
        self = isRead ? places : Self()
        isChunk = isRead && choiceCount <= 1 && !id.isEmpty
    }

    private init() {}

    private mutating func read(_ name: JSONCursor.Name, _ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        if name.is("choices") {
            try readChoices(&cursor)
        } else if name.is("prompt_token_ids") {
            let isList = cursor.isAt(UInt8(ascii: "["))
            let value = try cursor.skipValue()
            if isList { promptTokens = value }
        } else {
            let value = try cursor.skipValue()
            if name.is("id") { id = value }
            if name.is("created") { created = value }
            if name.is("model") { model = value }
        }
    }

    private mutating func readChoices(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        let start = cursor.index
        guard cursor.openArray() else {
            try cursor.skipValue()
            return
        }
        while try cursor.nextElement() {
            choiceCount += 1
            let choiceStart = cursor.index
            guard choiceCount == 1, cursor.openObject() else {
                try cursor.skipValue()
                continue
            }
            while let name = try cursor.nextName() {
                let isList = cursor.isAt(UInt8(ascii: "["))
                let isNull = cursor.isAt(UInt8(ascii: "n"))
                let value = try cursor.skipValue()
                if name.is("token_ids"), isList { tokens = value }
                if name.is("prompt_token_ids"), isList { promptTokens = value }
                if name.is("finish_reason"), !isNull { isFinished = true }
            }
            choice = choiceStart..<cursor.index
        }
        choices = start..<cursor.index
    }

    /// The chunk with nulls where ids were, as it is without `return_token_ids`.
    func hidingIDs(in bytes: UnsafeRawBufferPointer) -> ByteBuffer? {
        func copy(_ range: Range<Int>) -> ByteBuffer {
            ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
        var splice = JSONSplice()
        splice.set("prompt_token_ids", literal: "null", onlyReplacing: true)
        if !choice.isEmpty {
            var inner = JSONSplice()
            inner.set("token_ids", literal: "null", onlyReplacing: true)
            inner.set("prompt_token_ids", literal: "null", onlyReplacing: true)
            guard let hidden = inner.applied(to: copy(choice)) else { return nil }
            splice.set("choices") { json in
                json.write("[")
                json.write(hidden)
                json.write("]")
            }
        }
        return splice.applied(to: copy(0..<bytes.count))
    }

    /// The integers of a list; nil where it has anything else.
    static func integers(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> [Int]? {
        var cursor = JSONCursor(UnsafeRawBufferPointer(rebasing: bytes[range]))
        guard cursor.openArray() else { return nil }
        var values: [Int] = []
        while let isMore = try? cursor.nextElement() {
            guard isMore else { return values }
            guard let place = try? cursor.skipValue(), let value = JSONScanner.integer(cursor.bytes, place) else {
                return nil
            }
            values.append(value)
        }
        return nil
    }
}
