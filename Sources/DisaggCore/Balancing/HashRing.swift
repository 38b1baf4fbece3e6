/// A consistent-hash ring: each member stands at many places of a circle of 64-bit hashes, and a key belongs to the member
/// at or after its hash. When a member joins or leaves, only the keys of its own places move.
package struct HashRing: Sendable {
    /// Places of one member: a hundred keep the largest share within some 30 % of the mean.
    package static let places = 100

    private let hashes: [UInt64]
    private let members: [Int32]

    /// Creates the ring of members, named by numbers that stay the same while they are members.
    ///
    /// Costs n log n; done when the membership changes, not for each key.
    package init(serials: [Int]) {
        var all: [(hash: UInt64, index: Int32)] = []
        all.reserveCapacity(serials.count * Self.places)
        for (index, serial) in serials.enumerated() {
            for place in 0..<Self.places {
                let hash = StableHash.mix(UInt64(truncatingIfNeeded: serial) &+ 1, UInt64(place) &+ 1)
                all.append((StableHash.mix(hash, hash), Int32(clamping: index)))
            }
        }
        all.sort { $0.hash < $1.hash }
        hashes = all.map(\.hash)
        members = all.map(\.index)
    }

    /// Calls `body` with member indices clockwise from a key's place until it returns true; members may come again.
    ///
    /// - Returns: the member that was taken; nil where none was.
    package func first(at key: UInt64, where body: (Int) -> Bool) -> Int? {
        guard !hashes.isEmpty else { return nil }
        var low = 0
        var high = hashes.count
        while low < high {
            let middle = (low + high) / 2
            if hashes[middle] < key { low = middle + 1 } else { high = middle }
        }
        for step in 0..<hashes.count {
            let sum = low + step
            let member = Int(members[sum < hashes.count ? sum : sum - hashes.count])
            if body(member) { return member }
        }
        return nil
    }
}
