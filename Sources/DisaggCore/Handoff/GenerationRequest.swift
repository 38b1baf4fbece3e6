package import NIOCore

/// A client's generation request, scanned once: its bytes, where its members stand, and the few facts routing needs.
package struct GenerationRequest: Sendable {
    /// The shape of `prompt`, of `token_ids` for ``Endpoint/generate``, of `text` or `input_ids` for ``Endpoint/native``.
    package enum PromptShape: Sendable { case absent, text, tokens, many }

    package let endpoint: Endpoint
    package private(set) var body: ByteBuffer
    package private(set) var table: JSONMemberTable
    /// Whether the client asked for a stream.
    package let isStream: Bool
    /// Choices asked for; nil where the field is there and no integer, which the engine shall judge.
    package let choices: Int?
    /// The token limit that counts: `max_completion_tokens` over `max_tokens` for chat, `max_output_tokens` for responses.
    /// Nil where absent or null.
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
        (self.body, table) = try Self.scan(body)
        let reader = MemberReader(body: self.body, table: table)
        let sampling = Self.sampling(reader, endpoint)
        isStream = reader.bool("stream") ?? false
        choices = endpoint.hasChoices ? Self.choices(reader, sampling, endpoint) : 1
        let limitName: StaticString =
            switch endpoint {
            case .chatCompletions where reader.isPresent("max_completion_tokens"): "max_completion_tokens"
            case .responses: "max_output_tokens"
            case .native: "max_new_tokens"
            default: "max_tokens"
            }
        tokenLimit = sampling.int(limitName)
        hasUnreadableTokenLimit = tokenLimit == nil && sampling.isPresent(limitName)
        minimumTokens = sampling.int(endpoint == .native ? "min_new_tokens" : "min_tokens") ?? 0
        promptShape = reader.promptShape(Self.promptMember(reader, endpoint))
    }

    /// Scans a request for an engine.
    ///
    /// - Returns: the body, without ``HiddenTransferFields``, and where its members stand.
    /// - Throws: ``DisaggError`` with code `badRequest` where the body is not a JSON object.
    static func scan(_ body: ByteBuffer) throws(DisaggError) -> (ByteBuffer, JSONMemberTable) {
        do {
            let table = try JSONMemberTable(scanning: body)
            guard HiddenTransferFields.mayBe(in: body, table),
                let stripped = HiddenTransferFields.stripped(MemberReader(body: body, table: table))
            else { return (body, table) }
            return (stripped, try JSONMemberTable(scanning: stripped))
        } catch {
            throw DisaggError(
                .badRequest, "request body is not valid JSON: \(error.reason) at byte \(error.offset)",
                parameter: "body")
        }
    }

    /// Lets go of the body once no leg will be sent any more: a stream may last an hour, and its prompt be long.
    package mutating func forgetBody() {
        body = ByteBuffer()
        table = JSONMemberTable()
    }

    /// Reads single members.
    package var members: MemberReader { MemberReader(body: body, table: table) }

    /// Reads the members that steer sampling: those of `sampling_params` for ``Endpoint/generate``, else the request's own.
    package var sampling: MemberReader { Self.sampling(members, endpoint) }

    /// The member that has the prompt, or the list of prompts.
    package var promptMember: StaticString { Self.promptMember(members, endpoint) }

    private static func promptMember(_ members: MemberReader, _ endpoint: Endpoint) -> StaticString {
        switch endpoint {
        case .generate: "token_ids"
        case .native: members.isPresent("text") ? "text" : "input_ids"
        default: "prompt"
        }
    }

    private static func sampling(_ members: MemberReader, _ endpoint: Endpoint) -> MemberReader {
        guard endpoint.nestsSampling else { return members }
        if let object = members.inner("sampling_params") { return object }
        // A batch may have one for each prompt.
        return endpoint == .native ? members.objects("sampling_params").first ?? MemberReader() : MemberReader()
    }

    private static func choices(_ members: MemberReader, _ sampling: MemberReader, _ endpoint: Endpoint) -> Int? {
        func count(_ sampling: MemberReader) -> Int? { sampling.isPresent("n") ? sampling.int("n") : 1 }
        let first = count(sampling)
        // SGLang wants one number for all prompts (`managers/io_struct.py` `_handle_parallel_sampling`).
        guard endpoint != .native || members.objects("sampling_params").allSatisfy({ count($0) == first }) else {
            return nil
        }
        return first
    }
}

/// Reads scalar members of a scanned body.
package struct MemberReader: Sendable {
    let body: ByteBuffer
    let table: JSONMemberTable

    init(body: ByteBuffer = ByteBuffer(), table: JSONMemberTable = JSONMemberTable()) {
        self.body = body
        self.table = table
    }

    /// Reads the members of a member that is an object; nil where it is none.
    package func inner(_ name: StaticString) -> MemberReader? {
        guard let object = raw(name), let table = try? JSONMemberTable(scanning: object) else { return nil }
        return MemberReader(body: object, table: table)
    }

    /// The members of each element of a list, of which those that are no objects have none; empty where there is no list.
    func objects(_ name: StaticString) -> [MemberReader] {
        var objects: [MemberReader] = []
        _ = allElements(name) { bytes in
            let object = ByteBuffer(bytes: bytes)
            objects.append(
                MemberReader(body: object, table: (try? JSONMemberTable(scanning: object)) ?? JSONMemberTable()))
            return true
        }
        return objects
    }

    /// The raw text of a member, nil where it is absent.
    package func raw(_ name: StaticString) -> ByteBuffer? {
        guard let range = body.withUnsafeReadableBytes({ table.value(of: name, in: $0) }) else { return nil }
        return body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
    }

    /// What `read` makes of a member's bytes, of which there is at least one; nil where it is absent.
    @inline(__always)
    func read<Result>(_ name: StaticString, _ read: (UnsafeRawBufferPointer) -> Result?) -> Result? {
        body.withUnsafeReadableBytes { bytes in
            guard let range = table.value(of: name, in: bytes), !range.isEmpty else { return nil }
            return read(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    /// What `read` makes of the bytes of a member of an object; nil where one of the two is absent.
    private func read<Result>(
        _ name: StaticString, _ inner: StaticString, _ read: (UnsafeRawBufferPointer) -> Result?
    ) -> Result? {
        self.read(name) { Self.member(of: $0, inner).flatMap(read) }
    }

    /// The bytes of an object's member; nil where the checked value is no object or has no such member.
    private static func member(of bytes: UnsafeRawBufferPointer, _ name: StaticString) -> UnsafeRawBufferPointer? {
        var cursor = JSONCursor(bytes)
        guard cursor.openObject() else { return nil }
        var found: Range<Int>?
        // The body was checked: nothing is thrown.
        while let member = try? cursor.nextName(), let value = try? cursor.skipValue() {
            if member.is(name) { found = value }
        }
        return found.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
    }

    /// Whether a member of the checked object is that JSON text.
    static func member(of bytes: UnsafeRawBufferPointer, _ name: StaticString, is json: StaticString) -> Bool {
        guard let value = member(of: bytes, name) else { return false }
        return value.count == json.utf8CodeUnitCount && ByteBlock.isEqual(value, 0, json)
    }

    /// Bytes of a member's value, 0 where it is absent.
    package func byteCount(_ name: StaticString) -> Int { read(name) { $0.count } ?? 0 }

    /// Whether `holds` is true of each element of an array, each given as its bytes; true where the member is no array.
    package func allElements(_ name: StaticString, _ holds: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        let all: Bool? = read(name) { bytes in
            var cursor = JSONCursor(bytes)
            guard cursor.openArray() else { return nil }
            // The body was checked: nothing is thrown.
            while (try? cursor.nextElement()) == true, let value = try? cursor.skipValue() {
                if !holds(UnsafeRawBufferPointer(rebasing: bytes[value])) { return false }
            }
            return true
        }
        return all ?? true
    }

    /// How many elements a list has that is a member; 0 where there is no list.
    func elementCount(_ name: StaticString) -> Int {
        guard read(name, { $0[0] }) == UInt8(ascii: "[") else { return 0 }
        var count = 0
        _ = allElements(name) { _ in
            count += 1
            return true
        }
        return count
    }

    /// The member as a checked JSON value, nil where it is absent.
    package func json(_ name: StaticString) -> JSONView? {
        raw(name).flatMap { try? JSONView(parsing: Array($0.readableBytesView)) }
    }

    /// Whether the member is there and not null.
    package func isPresent(_ name: StaticString) -> Bool { read(name) { $0[0] != UInt8(ascii: "n") } ?? false }

    /// Whether the member is there and neither null, false, empty array, empty object, empty string nor zero.
    package func isMeaningful(_ name: StaticString) -> Bool {
        let isMeaningful = read(name) { bytes in
            switch bytes[0] {
            case UInt8(ascii: "n"), UInt8(ascii: "f"): false
            case UInt8(ascii: "["), UInt8(ascii: "{"): JSONScanner.skipWhitespace(bytes, 1) != bytes.count - 1
            case UInt8(ascii: "\""): bytes.count > 2
            case UInt8(ascii: "t"): true
            default: Double(Self.text(bytes)) != 0
            }
        }
        return isMeaningful ?? false
    }

    /// The member as an integer: `5` and, as Python's models take it, `5.0`.
    package func int(_ name: StaticString) -> Int? {
        read(name) { bytes in
            guard bytes.count <= 32 else { return nil }
            return JSONScanner.integer(bytes, 0..<bytes.count)
                ?? Double(Self.text(bytes)).flatMap { Int(exactly: $0) }
        }
    }

    /// Whether the member is the number zero.
    package func equalsZero(_ name: StaticString) -> Bool {
        read(name) { $0.count <= 32 && Double(Self.text($0)) == 0 } ?? false
    }

    /// The member as a truth value.
    package func bool(_ name: StaticString) -> Bool? { read(name, Self.bool) }

    /// A truth value that is the member of a member.
    package func bool(_ name: StaticString, _ inner: StaticString) -> Bool? { read(name, inner, Self.bool) }

    /// Whether the member of a member is that JSON text.
    package func equals(_ name: StaticString, _ inner: StaticString, json: StaticString) -> Bool {
        let isEqual = read(name, inner) { $0.count == json.utf8CodeUnitCount && ByteBlock.isEqual($0, 0, json) }
        return isEqual ?? false
    }

    func promptShape(_ name: StaticString) -> GenerationRequest.PromptShape {
        let shape: GenerationRequest.PromptShape? = read(name) { bytes in
            switch bytes[0] {
            case UInt8(ascii: "\""): return .text
            case UInt8(ascii: "["):
                let first = JSONScanner.skipWhitespace(bytes, 1)
                guard first < bytes.count - 1 else { return .absent }
                return JSONScanner.isDigit(bytes[first]) ? .tokens : .many
            default: return .absent
            }
        }
        return shape ?? .absent
    }

    private static func bool(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        switch bytes[0] {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
}
