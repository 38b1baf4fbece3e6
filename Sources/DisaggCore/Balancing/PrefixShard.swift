/// A table of prefix keys with the backends that are thought to hold them, of bounded size.
///
/// It is a set-associative cache: a key belongs to one bucket of ``ways`` places, and a new key takes the place that was
/// used longest ago. Looking a prompt up renews all blocks of it, so a block is never older than those behind it, and what
/// falls out are ends of prompts, as in an engine's own cache. The table begins small and doubles while it fills.
package struct PrefixShard: Sendable {
    private static let ways = 8
    private static let firstBuckets = 16

    private struct Place {
        var key: UInt64 = 0
        /// Serial of each holder plus one, 0 for none.
        var holders: InlineArray<4, UInt32> = .init(repeating: 0)
        /// When each holder was sent the block, in ``tickNanoseconds``.
        var times: InlineArray<4, UInt32> = .init(repeating: 0)

        var lastUse: UInt32 { max(max(times[0], times[1]), max(times[2], times[3])) }
    }

    /// The grain of times: a tenth of a second, so that 32 bits last 13 years.
    package static let tickNanoseconds: UInt64 = 100_000_000
    /// Bytes of one key with its holders.
    package static let bytesPerKey = MemoryLayout<Place>.stride

    private var places: [Place]
    private let maximumBuckets: Int
    private(set) var count = 0

    /// Creates a table.
    ///
    /// - Parameter maximumKeys: most keys it holds.
    package init(maximumKeys: Int) {
        var buckets = Self.firstBuckets
        while buckets * Self.ways * 2 <= maximumKeys { buckets *= 2 }
        maximumBuckets = buckets
        places = Array(repeating: Place(), count: Self.firstBuckets * Self.ways)
    }

    private var buckets: Int { places.count / Self.ways }

    /// Bytes of the table.
    package var bytes: Int { places.count * Self.bytesPerKey }

    private func bucket(of key: UInt64) -> Int { Int(key >> 20) & (buckets - 1) }

    private func place(of key: UInt64) -> Int? {
        let start = bucket(of: key) * Self.ways
        for index in start..<start + Self.ways where places[index].key == key && places[index].lastUse > 0 {
            return index
        }
        return nil
    }

    /// Finds who holds how much of a prompt.
    ///
    /// - Parameters:
    ///   - now: time in ticks; more than 0.
    ///   - lifetime: ticks after which a holder is thought to have dropped a block.
    package func match(_ keys: [UInt64], now: UInt32, lifetime: UInt32) -> PrefixMatch {
        var match = PrefixMatch()
        var tokens = 0
        for (index, key) in keys.enumerated() {
            guard let place = place(of: key) else { break }
            var isHeld = false
            tokens = PrefixBlocks.tokens(ofFirst: index + 1)
            for slot in 0..<PrefixMatch.maximumHolders {
                let holder = places[place].holders[slot]
                let time = places[place].times[slot]
                guard holder != 0, now &- time <= lifetime || time > now else { continue }
                match.note(serial: Int(holder) - 1, tokens: tokens, time: time)
                isHeld = true
            }
            if !isHeld { break }
        }
        return match
    }

    /// Notes that a backend was sent a prompt.
    package mutating func insert(_ keys: [UInt64], serial: Int, now: UInt32) {
        guard serial >= 0, serial < Int(UInt32.max) else { return }
        for key in keys { insert(key, holder: UInt32(serial) + 1, now: max(1, now)) }
    }

    private mutating func insert(_ key: UInt64, holder: UInt32, now: UInt32) {
        if let place = place(of: key) { return note(holder, at: place, now: now) }
        if count * 4 >= places.count * 3, buckets < maximumBuckets { grow() }
        let start = bucket(of: key) * Self.ways
        var oldest = start
        for index in start..<start + Self.ways where places[index].lastUse < places[oldest].lastUse { oldest = index }
        if places[oldest].lastUse == 0 { count += 1 }
        places[oldest] = Place(key: key)
        note(holder, at: oldest, now: now)
    }

    private mutating func note(_ holder: UInt32, at place: Int, now: UInt32) {
        var slot = 0
        for index in 0..<PrefixMatch.maximumHolders {
            if places[place].holders[index] == holder {
                slot = index
                break
            }
            if places[place].times[index] < places[place].times[slot] { slot = index }
        }
        places[place].holders[slot] = holder
        places[place].times[slot] = now
    }

    private mutating func grow() {
        let old = places
        places = Array(repeating: Place(), count: old.count * 2)
        count = 0
        for entry in old where entry.lastUse > 0 {
            let start = bucket(of: entry.key) * Self.ways
            for index in start..<start + Self.ways where places[index].lastUse == 0 {
                places[index] = entry
                count += 1
                break
            }
        }
    }
}
