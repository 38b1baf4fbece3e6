internal import DequeModule
package import NIOCore

/// The parameters that NIXL decoders gave at the end of conversations' turns, each to be used once by the next turn.
///
/// With `bidirectional_kv_xfer` a decoder keeps the blocks of prompt and answer for a while; the next turn's prefill engine
/// pulls them instead of computing them. It trusts that the new prompt begins as the old one did, so a turn is kept with a
/// fingerprint of its prompt, and given only to a request that continues it. Bounded: the oldest turn gives way, and the
/// engine's own time limit frees its blocks. Source: vLLM 0.33.0 `nixl/pull_scheduler.py` 60-104.
package struct ConversationTurns: Sendable {
    /// What names a conversation: what the client says, and who it is.
    package struct Key: Hashable, Sendable {
        package var conversation: String
        /// A credential: one client's conversation must not be continued by another.
        package var authorization: String

        package init(conversation: String, authorization: String) {
            self.conversation = conversation
            self.authorization = authorization
        }
    }

    /// The beginning of a prompt, as a hash of that many bytes.
    package struct Fingerprint: Hashable, Sendable {
        package var bytes: Int
        package var hash: Int

        /// The fingerprint of a prompt's or a message list's first bytes; nil where it has fewer.
        package init?(_ prompt: ByteBuffer, bytes: Int) {
            guard bytes > 0, let start = prompt.getSlice(at: prompt.readerIndex, length: bytes) else { return nil }
            self.bytes = bytes
            var hasher = Hasher()
            start.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
            hash = hasher.finalize()
        }
    }

    private struct Turn: Sendable {
        var parameters: ByteBuffer
        var fingerprint: Fingerprint
        var expires: NIODeadline
        var number: UInt64
    }

    /// Most conversations that are kept.
    package static let capacity = 4096
    /// Longest parameters that are kept, in bytes.
    package static let maximumParameterBytes = 1 << 20

    private var turns: [Key: Turn] = [:]
    /// Keys in the order they were kept; an entry whose number is no turn's any more is passed over.
    private var order: Deque<(key: Key, number: UInt64)> = []
    private var next: UInt64 = 0

    package init() {}

    /// Conversations kept now.
    package var count: Int { turns.count }

    /// Keeps a turn's parameters until `expires`.
    package mutating func keep(
        _ parameters: ByteBuffer, of key: Key, prompt: Fingerprint, expires: NIODeadline
    ) {
        guard parameters.readableBytes <= Self.maximumParameterBytes else { return }
        turns[key] = Turn(parameters: parameters, fingerprint: prompt, expires: expires, number: next)
        order.append((key, next))
        next += 1
        // Entries of turns that were used or replaced count too, so that the list is bounded.
        while turns.count > Self.capacity || order.count > 2 * Self.capacity { dropOldest() }
    }

    /// Takes a conversation's turn out, where the prompt continues it and it has not expired.
    package mutating func take(_ key: Key, prompt: ByteBuffer, at now: NIODeadline) -> ByteBuffer? {
        guard let turn = turns.removeValue(forKey: key), turn.expires > now,
            Fingerprint(prompt, bytes: turn.fingerprint.bytes) == turn.fingerprint
        else { return nil }
        return turn.parameters
    }

    private mutating func dropOldest() {
        guard let oldest = order.popFirst() else { return }
        if turns[oldest.key]?.number == oldest.number { turns[oldest.key] = nil }
    }
}
