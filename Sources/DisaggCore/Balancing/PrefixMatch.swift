/// How much of a prompt each of a few backends is thought to hold.
package struct PrefixMatch: Sendable {
    /// Backends one block is remembered for.
    package static let maximumHolders = 4

    package struct Holder: Sendable, Hashable {
        package var serial: Int
        /// Tokens of the longest prefix it holds.
        package var tokens: Int
        /// When it was sent the last block of that prefix, in ``PrefixShard/tickNanoseconds``.
        package var time: UInt32
    }

    /// The holders, in no order; at most ``maximumHolders``.
    package private(set) var holders: InlineArray<4, Holder> = .init(repeating: Holder(serial: -1, tokens: 0, time: 0))
    package private(set) var count = 0

    package init() {}

    /// Says that a backend holds at least so many tokens; the last word for a backend counts.
    package mutating func note(serial: Int, tokens: Int, time: UInt32 = .max) {
        let holder = Holder(serial: serial, tokens: tokens, time: time)
        for index in 0..<count where holders[index].serial == serial {
            holders[index] = holder
            return
        }
        guard count < Self.maximumHolders else { return }
        holders[count] = holder
        count += 1
    }

    /// Says what a backend holds, in place of the one that holds the least where all places are taken.
    package mutating func noteBest(serial: Int, tokens: Int) {
        guard count == Self.maximumHolders else { return note(serial: serial, tokens: tokens) }
        var least = 0
        for index in 1..<count where holders[index].tokens < holders[least].tokens { least = index }
        if holders[least].tokens < tokens { holders[least] = Holder(serial: serial, tokens: tokens, time: .max) }
    }

    /// The match without backends whose engines were restarted since.
    package func valid(among candidates: Candidates) -> PrefixMatch {
        var valid = PrefixMatch()
        for position in 0..<count {
            let holder = holders[position]
            guard let index = candidates.index(ofSerial: holder.serial) else { continue }
            let since = candidates.meters[index].cacheValidSince / PrefixShard.tickNanoseconds
            if since == 0 || UInt64(holder.time) > since + 1 {
                valid.note(serial: holder.serial, tokens: holder.tokens, time: holder.time)
            }
        }
        return valid
    }

    /// Tokens a backend holds, 0 where nothing is known.
    package func tokens(serial: Int) -> Int {
        for index in 0..<count where holders[index].serial == serial { return holders[index].tokens }
        return 0
    }
}
