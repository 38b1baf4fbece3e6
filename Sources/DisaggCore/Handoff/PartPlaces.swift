/// Where the values stand in an answer of one choice, or in a chunk of one, that must be rewritten to make it a part of a
/// larger answer: offsets that are empty where there is none.
///
/// Read once for each token: allocates nothing.
struct PartPlaces {
    private(set) var isObject = false
    private(set) var isError = false
    private(set) var id = 0..<0
    private(set) var created = 0..<0
    /// The first of `choices`.
    private(set) var choice = 0..<0
    private(set) var choices = 0
    /// The first choice's `index`.
    private(set) var index = 0..<0
    /// `usage`, where it is an object.
    private(set) var usage = 0..<0

    /// Reads an answer or the data of an event.
    init(reading bytes: UnsafeRawBufferPointer) {
        var places = Self()
        places.isObject = true
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
        } else if name.is("choices") {
            try readChoices(&cursor)
        } else if name.is("usage") {
            let isThere = cursor.isAt(UInt8(ascii: "{"))
            let value = try cursor.skipValue()
            usage = isThere ? value : 0..<0
        } else if name.is("error") {
            isError = !cursor.isAt(UInt8(ascii: "n"))
            try cursor.skipValue()
        } else {
            try cursor.skipValue()
        }
    }

    private mutating func readChoices(_ cursor: inout JSONCursor) throws(JSONSyntaxError) {
        (choices, choice, index) = (0, 0..<0, 0..<0)
        guard cursor.openArray() else {
            _ = try cursor.skipValue()
            return
        }
        while try cursor.nextElement() {
            choices += 1
            let start = cursor.index
            guard choices == 1, cursor.openObject() else {
                try cursor.skipValue()
                continue
            }
            while let name = try cursor.nextName() {
                let value = try cursor.skipValue()
                if name.is("index") { index = value }
            }
            choice = start..<cursor.index
        }
    }
}
