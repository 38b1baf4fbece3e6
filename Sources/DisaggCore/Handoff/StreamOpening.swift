/// What the events say with which a decoder's stream begins, before any of them goes to the client.
///
/// A stream has status 200 before its first token is computed. A decoder that cannot load the KV it was promised says so in
/// an event: vLLM 0.33.0 `kv_load_failure_policy: fail` (Docs/EngineFacts.md row 13). As long as only announcements came, the
/// client has nothing that another pair could not give it as well.
package enum StreamOpening: Sendable, Equatable {
    /// Only what comes ahead of the first token: a role, the announcement of an answer, or nothing yet.
    case preamble
    /// A token, or anything else that is no error.
    case begun
    /// An error in place of the first token, with the HTTP status that it stands for.
    case failed(status: Int)

    /// Reads a stream's first bytes, whole events with or without their chunk framing.
    package init(reading bytes: UnsafeRawBufferPointer) {
        var opening = Self.preamble
        var events = SSEScanner()
        let fits = events.feed(bytes) { data in
            if opening == .preamble { opening = Self.judge(data) }
        }
        self = fits ? opening : .begun
    }

    private static func judge(_ data: UnsafeRawBufferPointer) -> StreamOpening {
        var cursor = JSONCursor(data)
        guard cursor.openObject() else { return .begun }
        var kind = Kind.other
        var code: Int?
        do throws(JSONSyntaxError) {
            while let name = try cursor.nextName() {
                if name.is("choices") {
                    // What an engine sends with every token is looked at no further.
                    return try isPreamble(choices: &cursor) ? .preamble : .begun
                } else if name.is("error"), cursor.isAt(UInt8(ascii: "{")) {
                    kind = .error
                    code = try self.code(&cursor) ?? code
                } else {
                    let value = try cursor.skipValue()
                    if name.is("code") { code = JSONScanner.integer(data, value) ?? code }
                    if name.is("object") || name.is("type") { kind = kind.or(Kind(data, value)) }
                }
            }
        } catch {
            return .begun
        }
        switch kind {
        case .error: return .failed(status: code.flatMap { (400...599).contains($0) ? $0 : nil } ?? 500)
        case .announcement: return .preamble
        case .other: return .begun
        }
    }

    /// The `code` of an error object.
    private static func code(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Int? {
        guard cursor.openObject() else { return nil }
        var code: Int?
        while let name = try cursor.nextName() {
            let value = try cursor.skipValue()
            if name.is("code") { code = JSONScanner.integer(cursor.bytes, value) }
        }
        return code
    }

    /// Whether a chunk's choices say only who speaks: `"delta":{"role":"assistant","content":""}`.
    private static func isPreamble(choices cursor: inout JSONCursor) throws(JSONSyntaxError) -> Bool {
        guard cursor.openArray() else { return false }
        while try cursor.nextElement() {
            guard cursor.openObject() else { return false }
            var saysRole = false
            while let name = try cursor.nextName() {
                let isNull = cursor.isAt(UInt8(ascii: "n"))
                if name.is("delta") {
                    saysRole = try self.saysRole(&cursor)
                    guard saysRole else { return false }
                } else {
                    try cursor.skipValue()
                    if name.is("finish_reason"), !isNull { return false }
                }
            }
            guard saysRole else { return false }
        }
        return true
    }

    /// Whether a delta has a role, and nothing else that is not empty.
    private static func saysRole(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> Bool {
        guard cursor.openObject() else { return false }
        var hasRole = false
        while let name = try cursor.nextName() {
            let isNull = cursor.isAt(UInt8(ascii: "n"))
            let value = try cursor.skipValue()
            if name.is("role") {
                hasRole = true
            } else if !isNull, value.count > 2 {
                return false
            }
        }
        return hasRole
    }

    private enum Kind {
        case other, announcement, error

        /// By the value of an event's `type` or `object`: OpenAI's responses, Anthropic's messages, flat errors.
        init(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) {
            func isOne(of names: [StaticString]) -> Bool {
                names.contains { JSONString.isEqual(bytes, value, hasEscapes: false, $0) }
            }
            if isOne(of: ["error", "response.failed"]) {
                self = .error
            } else if isOne(of: [
                "response.created", "response.queued", "response.in_progress", "response.output_item.added",
                "response.content_part.added", "message_start", "content_block_start", "ping",
            ]) {
                self = .announcement
            } else {
                self = .other
            }
        }

        func or(_ other: Kind) -> Kind { self == .other ? other : self }
    }
}
