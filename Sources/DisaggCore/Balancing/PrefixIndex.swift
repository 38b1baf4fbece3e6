internal import NIOConcurrencyHelpers

/// Remembers which backend was sent which prompt: an approximate picture of the engines' prefix caches.
///
/// Bounded in size and time. Shared by all event loops: prompts with different beginnings lie in different shards, each
/// with its own lock, which is held for one lookup or one insertion.
package final class PrefixIndex: Sendable {
    private static let shardCount = 16

    private let shards: [NIOLockedValueBox<PrefixShard>]
    private let lifetime: UInt32

    /// Creates an empty index.
    ///
    /// - Parameters:
    ///   - maximumBlocks: most blocks it remembers, of all prompts together.
    ///   - lifetime: nanoseconds after which an engine is thought to have dropped a block.
    package init(maximumBlocks: Int, lifetime: UInt64) {
        shards = (0..<Self.shardCount).map { _ in
            NIOLockedValueBox(PrefixShard(maximumKeys: maximumBlocks / Self.shardCount))
        }
        self.lifetime = UInt32(clamping: lifetime / PrefixShard.tickNanoseconds)
    }

    private func shard(of keys: [UInt64]) -> NIOLockedValueBox<PrefixShard>? {
        keys.first.map { shards[Int($0 & UInt64(Self.shardCount - 1))] }
    }

    private static func ticks(_ now: UInt64) -> UInt32 { UInt32(clamping: now / PrefixShard.tickNanoseconds + 1) }

    /// Finds who holds how much of a prompt; see ``RequestFacts/prefixKeys``.
    package func match(_ keys: [UInt64], now: UInt64) -> PrefixMatch {
        guard let shard = shard(of: keys) else { return PrefixMatch() }
        return shard.withLockedValue { $0.match(keys, now: Self.ticks(now), lifetime: lifetime) }
    }

    /// Notes that a backend is sent a prompt.
    package func insert(_ keys: [UInt64], serial: Int, now: UInt64) {
        guard let shard = shard(of: keys) else { return }
        shard.withLockedValue { $0.insert(keys, serial: serial, now: Self.ticks(now)) }
    }

    /// Bytes of all tables.
    package var bytes: Int { shards.reduce(0) { $0 + $1.withLockedValue { $0.bytes } } }
    /// Blocks remembered.
    package var count: Int { shards.reduce(0) { $0 + $1.withLockedValue { $0.count } } }
}
