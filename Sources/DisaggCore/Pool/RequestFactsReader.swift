internal import NIOCore

/// Reads the facts that the policies need out of a request, and nothing else.
package struct RequestFactsReader: Sendable {
    /// Bytes of text that one token has at least, on average: a cautious number for room that must not be exceeded.
    private static let fewestBytesPerToken = 3
    /// Bytes of text that one token has at most, on average: what is larger even so can never fit.
    private static let mostBytesPerToken = 8
    /// Bytes of a prompt that stand for a conversation's beginning where no message tells it.
    private static let conversationBytes = 256

    private let needs: FactSet
    private let model: String
    private let session: SessionSettings
    private let admission: AdmissionSettings

    package init(
        needs: FactSet, model: String, session: SessionSettings, admission: AdmissionSettings
    ) {
        self.needs = needs
        self.model = model
        self.session = session
        self.admission = admission
    }

    // MARK: Headers

    /// What a request's headers say about its sender.
    package func origin(of headers: HeaderBlock) -> RequestOrigin {
        var origin = RequestOrigin()
        if needs.contains(.sessionKey) {
            for name in session.headers {
                if let hash = headers.withValue(of: name, { StableHash.hash($0, seed: 1) }) {
                    origin.sessionKey = hash
                    break
                }
            }
        }
        origin.tenant = headers.withValue(of: "authorization") { StableHash.hash($0, seed: 2) } ?? 0
        origin.priority =
            headers.withValue(of: admission.priorityHeader) { value in
                Int(String(decoding: value, as: UTF8.self)).map { max(-1000, min(1000, $0)) }
            }.flatMap { $0 } ?? 0
        return origin
    }

    // MARK: Body

    /// Fills in what the policies need.
    package func read(_ request: GenerationRequest, from origin: RequestOrigin, into facts: inout RequestFacts) {
        facts.reset()
        guard !needs.isEmpty else { return }
        let prompt = Self.prompt(request)
        if needs.contains(.tokens) {
            facts.promptTokens = Self.tokens(request, prompt, bytesPerToken: PrefixBlocks.bytesPerToken)
            facts.outputLimit = request.tokenLimit.map { max(1, $0) }
        }
        if needs.contains(.sessionKey) {
            facts.sessionKey = origin.sessionKey ?? sessionKey(of: request, prompt)
        }
        if !needs.isDisjoint(with: [.prefixKeys, .tokenIDs]) {
            facts.cacheNamespace = Self.namespace(of: request)
        }
        if needs.contains(.prefixKeys) {
            prompt?.withUnsafeReadableBytes {
                PrefixBlocks.appendKeys(of: $0, namespace: facts.cacheNamespace, to: &facts.prefixKeys)
            }
        }
        if needs.contains(.tokenIDs), request.promptShape == .tokens {
            prompt?.withUnsafeReadableBytes { Self.appendTokenIDs($0, to: &facts.tokenIDs) }
            let asked = request.members.json("model")?.string
            facts.lora = asked == model ? nil : asked
        }
    }

    /// KV chunks to reserve at a decoder: exact for token ids, cautious for text.
    package static func chunks(of request: GenerationRequest, chunkTokens: Int) -> Int {
        let tokens = tokens(request, prompt(request), bytesPerToken: fewestBytesPerToken)
        return tokens / max(1, chunkTokens) + (tokens % max(1, chunkTokens) > 0 ? 1 : 0)
    }

    /// KV chunks a request takes in any case, however its text is cut into tokens.
    package static func fewestChunks(of request: GenerationRequest, chunkTokens: Int) -> Int {
        tokens(request, prompt(request), bytesPerToken: mostBytesPerToken) / max(1, chunkTokens)
    }

    /// Length in bytes of the prompt's JSON text, of which its blocks are cut.
    package static func promptBytes(of request: GenerationRequest) -> Int { prompt(request)?.readableBytes ?? 0 }

    /// The prompt as it stands in the body: text, token ids or messages.
    private static func prompt(_ request: GenerationRequest) -> ByteBuffer? {
        let members = request.members
        return members.raw("messages") ?? members.raw("prompt") ?? members.raw("input")
    }

    private static func tokens(_ request: GenerationRequest, _ prompt: ByteBuffer?, bytesPerToken: Int) -> Int {
        guard let prompt else { return 0 }
        guard request.promptShape == .tokens else { return prompt.readableBytes / bytesPerToken }
        return prompt.withUnsafeReadableBytes { bytes in
            var commas = 0
            for byte in bytes where byte == UInt8(ascii: ",") { commas += 1 }
            return commas + 1
        }
    }

    /// Engines keep caches apart by model or LoRA name, and by `cache_salt`.
    private static func namespace(of request: GenerationRequest) -> UInt64 {
        var hash: UInt64 = 0
        for part in [request.members.raw("model"), request.members.raw("cache_salt")] {
            hash = part.map { $0.withUnsafeReadableBytes { StableHash.hash($0, seed: hash &+ 1) } } ?? hash &+ 1
        }
        return hash
    }

    private func sessionKey(of request: GenerationRequest, _ prompt: ByteBuffer?) -> UInt64? {
        if request.members.isMeaningful("user"), let user = request.members.raw("user") {
            return user.withUnsafeReadableBytes { StableHash.hash($0, seed: 3) }
        }
        return prompt?.withUnsafeReadableBytes { bytes in
            let end = Self.endOfFirstUserMessage(bytes) ?? min(bytes.count, Self.conversationBytes)
            return StableHash.hash(UnsafeRawBufferPointer(rebasing: bytes[..<end]), seed: 4)
        }
    }

    /// Where the first message of the user ends: what every later turn of the conversation begins with.
    private static func endOfFirstUserMessage(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var cursor = JSONCursor(bytes)
        guard cursor.openArray() else { return nil }
        // The body was checked: nothing is thrown.
        while (try? cursor.nextElement()) == true {
            guard cursor.isAt(UInt8(ascii: "{")), let message = try? cursor.skipValue() else { return nil }
            var inner = JSONCursor(UnsafeRawBufferPointer(rebasing: bytes[message]))
            guard inner.openObject() else { return nil }
            while let name = try? inner.nextName(), let value = try? inner.skipValue() {
                guard name.is("role") else { continue }
                let text = UnsafeRawBufferPointer(rebasing: inner.bytes[value])
                if text.count == 6, ByteBlock.isEqual(text, 0, "\"user\"") { return message.upperBound }
            }
        }
        return nil
    }

    /// Reads `[1, 2, 3]`; stops at anything else.
    private static func appendTokenIDs(_ bytes: UnsafeRawBufferPointer, to tokens: inout [Int32]) {
        var value: Int64 = -1
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = max(0, value) * 10 + Int64(byte - UInt8(ascii: "0"))
                guard value <= Int64(Int32.max) else { return }
            case UInt8(ascii: "["), 0x20, 0x09, 0x0A, 0x0D: continue
            case UInt8(ascii: ","), UInt8(ascii: "]"):
                guard value >= 0 else { return }
                tokens.append(Int32(value))
                value = -1
            default: return
            }
        }
    }
}
