internal import Synchronization

/// Room for KV at one decoder, in chunks: taken when a prefill is sent, given back when the decoder has used the KV.
///
/// LMCache's receive buffer has no eviction and a full one blocks senders for ever, so what is on its way must fit
/// (LMCache #2957). The capacity is `pd_buffer_size` over the bytes of one chunk in one rank.
package final class ChunkBudget: Sendable {
    /// Chunks there is room for; nil where nothing bounds them.
    package let capacity: Int?
    private let taken = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)

    package init(capacity: Int? = nil) { self.capacity = capacity.map { max(1, $0) } }

    /// Chunks taken, lost ones included.
    package var used: Int { taken.load(ordering: .relaxed) }
    /// Chunks that could not be freed: they stay taken until the decoder is restarted.
    package var leaked: Int { lost.load(ordering: .relaxed) }

    /// What a need counts as: a prompt that may or may not fit gets the whole buffer.
    package func cost(_ chunks: Int) -> Int { capacity.map { min(chunks, $0) } ?? 0 }

    /// Whether there is room now.
    package func hasRoom(_ chunks: Int) -> Bool {
        guard let capacity, chunks > 0 else { return true }
        return used + cost(chunks) <= capacity
    }

    /// Takes room.
    ///
    /// - Returns: what was taken, to be given back once; nil where there is no room.
    package func take(_ chunks: Int) -> Int? {
        guard let capacity, chunks > 0 else { return 0 }
        let cost = cost(chunks)
        var current = used
        while current + cost <= capacity {
            let (exchanged, original) = taken.weakCompareExchange(
                expected: current, desired: current + cost, ordering: .relaxed)
            if exchanged { return cost }
            current = original
        }
        return nil
    }

    /// Gives room back.
    package func give(_ cost: Int) {
        if cost > 0 { taken.wrappingSubtract(cost, ordering: .relaxed) }
    }

    /// Leaves room taken: nobody could free the KV.
    package func lose(_ cost: Int) {
        if cost > 0 { lost.wrappingAdd(cost, ordering: .relaxed) }
    }

    /// The decoder was restarted: its buffer is empty.
    package func recover() { give(lost.exchange(0, ordering: .relaxed)) }
}
