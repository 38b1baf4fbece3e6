/// A table of prefix keys with the backends that are thought to hold them, of bounded size.
///
/// It is a set-associative cache: a key belongs to one bucket of ``ways`` places, and a new key takes the place that was
/// used longest ago. Looking a prompt up renews all blocks of it, so a block is never older than those behind it, and what
/// falls out are ends of prompts, as in an engine's own cache. The table begins small and doubles while it fills.
///
/// A bucket's keys lie together in one cache line, and so do its times: a long prompt that was never seen has dozens of
/// keys, and none of its buckets is in the processor's cache.
package struct PrefixShard: Sendable {
    private static let ways = 8
    private static let firstBuckets = 16

    private struct Holders {
        /// Serial of each holder plus one, 0 for none.
        var serials: InlineArray<4, UInt32> = .init(repeating: 0)
        /// When each holder was sent the block, in ``tickNanoseconds``.
        var times: InlineArray<4, UInt32> = .init(repeating: 0)
    }

    /// The grain of times: a tenth of a second, so that 32 bits last 13 years.
    package static let tickNanoseconds: UInt64 = 100_000_000
    /// Bytes of one key with its holders.
    package static let bytesPerKey =
        MemoryLayout<UInt64>.stride + MemoryLayout<UInt32>.stride + MemoryLayout<Holders>.stride

    /// The key of each place, 0 where it is free.
    private var keys: [UInt64]
    /// When each place was used last, 0 where it is free.
    private var uses: [UInt32]
    private var holders: [Holders]
    private let maximumBuckets: Int
    private(set) var count = 0

    /// Creates a table.
    ///
    /// - Parameter maximumKeys: most keys it holds.
    package init(maximumKeys: Int) {
        var buckets = Self.firstBuckets
        while buckets * Self.ways * 2 <= maximumKeys { buckets *= 2 }
        maximumBuckets = buckets
        (keys, uses, holders) = Self.places(Self.firstBuckets * Self.ways)
    }

    private static func places(_ count: Int) -> (keys: [UInt64], uses: [UInt32], holders: [Holders]) {
        (
            Array(repeating: 0, count: count), Array(repeating: 0, count: count),
            Array(repeating: Holders(), count: count)
        )
    }

    private var buckets: Int { keys.count / Self.ways }

    /// Bytes of the table.
    package var bytes: Int { keys.count * Self.bytesPerKey }

    /// The first place of a key's bucket.
    @inline(__always)
    private func bucket(of key: UInt64) -> Int { (Int(truncatingIfNeeded: key &>> 20) & (buckets &- 1)) &* Self.ways }

    /// The key as it is kept: 0 stands for none.
    @inline(__always)
    private static func kept(_ key: UInt64) -> UInt64 { key == 0 ? 1 : key }

    @inline(__always)
    private func place(of key: UInt64) -> Int? {
        let start = bucket(of: key)
        return keys.withUnsafeBufferPointer { keys in
            for index in start..<start &+ Self.ways where keys[index] == key { return index }
            return nil
        }
    }

    /// Finds who holds how much of a prompt.
    ///
    /// - Parameters:
    ///   - now: time in ticks; more than 0.
    ///   - lifetime: ticks after which a holder is thought to have dropped a block.
    package func match(_ keys: [UInt64], now: UInt32, lifetime: UInt32) -> PrefixMatch {
        var match = PrefixMatch()
        var bytes = 0
        for index in keys.indices {
            guard let place = place(of: Self.kept(keys[index])) else { break }
            bytes += PrefixBlocks.bytes(ofBlock: index)
            var isHeld = false
            let found = holders[place]
            for slot in 0..<PrefixMatch.maximumHolders {
                let holder = found.serials[slot]
                let time = found.times[slot]
                guard holder != 0, now &- time <= lifetime || time > now else { continue }
                match.note(serial: Int(holder) - 1, tokens: bytes / PrefixBlocks.bytesPerToken, time: time)
                isHeld = true
            }
            if !isHeld { break }
        }
        return match
    }

    /// Notes that a backend was sent a prompt.
    package mutating func insert(_ keys: [UInt64], serial: Int, now: UInt32) {
        guard serial >= 0, serial < Int(UInt32.max) else { return }
        for key in keys { insert(Self.kept(key), holder: UInt32(serial) + 1, now: max(1, now)) }
    }

    private mutating func insert(_ key: UInt64, holder: UInt32, now: UInt32) {
        if let place = place(of: key) { return note(holder, at: place, now: now) }
        if count * 4 >= keys.count * 3, buckets < maximumBuckets { grow() }
        let place = oldest(from: bucket(of: key))
        if uses[place] == 0 { count += 1 }
        keys[place] = key
        holders[place] = Holders()
        note(holder, at: place, now: now)
    }

    @inline(__always)
    private func oldest(from start: Int) -> Int {
        uses.withUnsafeBufferPointer { uses in
            var oldest = start
            for index in start..<start &+ Self.ways where uses[index] < uses[oldest] { oldest = index }
            return oldest
        }
    }

    private mutating func note(_ holder: UInt32, at place: Int, now: UInt32) {
        var found = holders[place]
        var slot = 0
        for index in 0..<PrefixMatch.maximumHolders {
            if found.serials[index] == holder {
                slot = index
                break
            }
            if found.times[index] < found.times[slot] { slot = index }
        }
        found.serials[slot] = holder
        found.times[slot] = now
        holders[place] = found
        uses[place] = max(max(found.times[0], found.times[1]), max(found.times[2], found.times[3]))
    }

    private mutating func grow() {
        let (oldKeys, oldUses, oldHolders) = (keys, uses, holders)
        (keys, uses, holders) = Self.places(oldKeys.count * 2)
        count = 0
        for entry in oldKeys.indices where oldUses[entry] > 0 {
            let start = bucket(of: oldKeys[entry])
            for index in start..<start + Self.ways where uses[index] == 0 {
                (keys[index], uses[index], holders[index]) = (oldKeys[entry], oldUses[entry], oldHolders[entry])
                count += 1
                break
            }
        }
    }
}
