package import NIOCore

/// A client's generation request, scanned once: its bytes, where its members stand, and the few facts routing needs.
package struct GenerationRequest: Sendable {
    /// The endpoint that was asked.
    package enum Endpoint: String, Sendable {
        case completions = "/v1/completions"
        case chatCompletions = "/v1/chat/completions"
    }

    /// The shape of `prompt`.
    package enum PromptShape: Sendable { case absent, text, tokens, many }

    package let endpoint: Endpoint
    package private(set) var body: ByteBuffer
    package private(set) var table: JSONMemberTable
    /// Whether the client asked for a stream.
    package let isStream: Bool
    /// Choices asked for; nil where the field is there and no integer, which the engine shall judge.
    package let choices: Int?
    /// The token limit that counts: `max_completion_tokens` over `max_tokens` for chat. Nil where absent or null.
    package let tokenLimit: Int?
    /// Whether the token limit is there and cannot be read as an integer.
    package let hasUnreadableTokenLimit: Bool
    /// `min_tokens`, 0 where absent.
    package let minimumTokens: Int
    package let promptShape: PromptShape

    /// Scans a body.
    ///
    /// - Throws: ``DisaggError`` with code `badRequest` where the body is not a JSON object.
    package init(endpoint: Endpoint, body: ByteBuffer) throws(DisaggError) {
        self.endpoint = endpoint
        self.body = body
        do {
            table = try JSONMemberTable(scanning: body)
        } catch {
            throw DisaggError(
                .badRequest, "request body is not valid JSON: \(error.reason) at byte \(error.offset)",
                parameter: "body")
        }
        let reader = MemberReader(body: body, table: table)
        isStream = reader.bool("stream") ?? false
        choices = reader.isPresent("n") ? reader.int("n") : 1
        let limitName: StaticString =
            endpoint == .chatCompletions && reader.isPresent("max_completion_tokens")
            ? "max_completion_tokens" : "max_tokens"
        tokenLimit = reader.int(limitName)
        hasUnreadableTokenLimit = tokenLimit == nil && reader.isPresent(limitName)
        minimumTokens = reader.int("min_tokens") ?? 0
        promptShape = reader.promptShape()
    }

    /// Lets go of the body once no leg will be sent any more: a stream may last an hour, and its prompt be long.
    package mutating func forgetBody() {
        body = ByteBuffer()
        table = JSONMemberTable()
    }

    /// Reads single members.
    package var members: MemberReader { MemberReader(body: body, table: table) }
}

/// Reads scalar members of a scanned body.
package struct MemberReader: Sendable {
    let body: ByteBuffer
    let table: JSONMemberTable

    /// The raw text of a member, nil where it is absent.
    package func raw(_ name: StaticString) -> ByteBuffer? {
        guard let range = body.withUnsafeReadableBytes({ table.value(of: name, in: $0) }) else { return nil }
        return body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
    }

    /// The member as a checked JSON value, nil where it is absent.
    package func json(_ name: StaticString) -> JSONView? {
        raw(name).flatMap { try? JSONView(parsing: Array($0.readableBytesView)) }
    }

    /// Whether the member is there and not null.
    package func isPresent(_ name: StaticString) -> Bool {
        guard let raw = raw(name) else { return false }
        return raw.readableBytesView.first != UInt8(ascii: "n")
    }

    /// Whether the member is there and neither null, false, empty array, empty object, empty string nor zero.
    package func isMeaningful(_ name: StaticString) -> Bool {
        guard let raw = raw(name) else { return false }
        switch raw.readableBytesView.first {
        case UInt8(ascii: "n"), UInt8(ascii: "f"): return false
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            let inner = raw.readableBytesView.dropFirst().dropLast()
            return inner.contains { $0 > 0x20 }
        case UInt8(ascii: "\""): return raw.readableBytes > 2
        case UInt8(ascii: "t"): return true
        default: return Double(text(raw)) != 0
        }
    }

    /// The member as an integer: `5` and, as Python's models take it, `5.0`.
    package func int(_ name: StaticString) -> Int? {
        guard let raw = raw(name), raw.readableBytes <= 32 else { return nil }
        let text = text(raw)
        return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
    }

    /// The member as a truth value.
    package func bool(_ name: StaticString) -> Bool? {
        switch raw(name)?.readableBytesView.first {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }

    func promptShape() -> GenerationRequest.PromptShape {
        guard let raw = raw("prompt") else { return .absent }
        let view = raw.readableBytesView
        switch view.first {
        case UInt8(ascii: "\""): return .text
        case UInt8(ascii: "["):
            switch view.dropFirst().first(where: { $0 > 0x20 }) {
            case UInt8(ascii: "]"), nil: return .absent
            case .some(let byte) where JSONScanner.isDigit(byte): return .tokens
            default: return .many
            }
        default: return .absent
        }
    }

    private func text(_ raw: ByteBuffer) -> String { String(decoding: raw.readableBytesView, as: UTF8.self) }
}
