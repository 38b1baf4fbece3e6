internal import NIOCore

/// Reads the facts that the policies need out of a request, and nothing else.
package final class RequestFactsReader: Sendable {
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
    ///
    /// - Parameter hasChoice: whether a role has more than one backend: else it does not matter which has the prompt cached.
    package func read(
        _ request: GenerationRequest, from origin: RequestOrigin, hasChoice: Bool = true, into facts: inout RequestFacts
    ) {
        facts.reset()
        guard !needs.isEmpty else { return }
        let reader = request.members
        Self.withPrompt(reader) { prompt in
            if needs.contains(.tokens) {
                facts.promptTokens = Self.tokens(request, prompt, bytesPerToken: PrefixBlocks.bytesPerToken)
                facts.outputLimit = request.tokenLimit.map { max(1, $0) }
            }
            if needs.contains(.sessionKey) {
                facts.sessionKey = origin.sessionKey ?? Self.sessionKey(reader, prompt)
            }
            let wantsKeys = hasChoice && needs.contains(.prefixKeys)
            if wantsKeys || needs.contains(.tokenIDs) { facts.cacheNamespace = Self.namespace(reader) }
            if wantsKeys, let prompt {
                PrefixBlocks.appendKeys(of: prompt, namespace: facts.cacheNamespace, to: &facts.prefixKeys)
            }
            if needs.contains(.tokenIDs), let prompt, request.promptShape == .tokens {
                Self.appendTokenIDs(prompt, to: &facts.tokenIDs)
                let asked = reader.json("model")?.string
                facts.lora = asked == model ? nil : asked
            }
        }
    }

    /// KV chunks to reserve at a decoder: exact for token ids, cautious for text.
    package static func chunks(of request: GenerationRequest, chunkTokens: Int) -> Int {
        let tokens = withPrompt(request.members) { Self.tokens(request, $0, bytesPerToken: fewestBytesPerToken) }
        return tokens / max(1, chunkTokens) + (tokens % max(1, chunkTokens) > 0 ? 1 : 0)
    }

    /// KV chunks a request takes in any case, however its text is cut into tokens.
    package static func fewestChunks(of request: GenerationRequest, chunkTokens: Int) -> Int {
        withPrompt(request.members) { Self.tokens(request, $0, bytesPerToken: mostBytesPerToken) } / max(1, chunkTokens)
    }

    /// Length in bytes of the prompt's JSON text, of which its blocks are cut.
    package static func promptBytes(of request: GenerationRequest) -> Int {
        withPrompt(request.members) { $0?.count ?? 0 }
    }

    /// Calls `body` with the prompt as it stands in the body: text, token ids or messages; nil where there is none.
    private static func withPrompt<Result>(
        _ reader: MemberReader, _ body: (UnsafeRawBufferPointer?) -> Result
    ) -> Result {
        reader.read("messages") { body($0) } ?? reader.read("prompt") { body($0) } ?? reader.read("input") { body($0) }
            ?? body(nil)
    }

    private static func tokens(
        _ request: GenerationRequest, _ prompt: UnsafeRawBufferPointer?, bytesPerToken: Int
    ) -> Int {
        guard let prompt else { return 0 }
        guard request.promptShape == .tokens else { return prompt.count / bytesPerToken }
        var commas = 0
        for byte in prompt where byte == UInt8(ascii: ",") { commas += 1 }
        return commas + 1
    }

    /// Engines keep caches apart by model or LoRA name, and by `cache_salt`.
    private static func namespace(_ reader: MemberReader) -> UInt64 {
        let model = reader.read("model") { StableHash.hash($0, seed: 1) } ?? 1
        return reader.read("cache_salt") { StableHash.hash($0, seed: model &+ 1) } ?? model &+ 1
    }

    private static func sessionKey(_ reader: MemberReader, _ prompt: UnsafeRawBufferPointer?) -> UInt64? {
        if reader.isMeaningful("user"), let key = reader.read("user", { StableHash.hash($0, seed: 3) }) { return key }
        return prompt.map { bytes in
            let end = endOfFirstUserMessage(bytes) ?? min(bytes.count, conversationBytes)
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
