package import NIOCore

/// KV of one attempt that engines hold for each other: a prefill's until it is taken, and its room at the decoder.
///
/// Ended or lost exactly once by its holder.
package struct KVHold: Sendable {
    private let prefill: BackendState
    private let decode: BackendState
    /// Chunks taken of the decoder's budget.
    private let chunks: Int

    /// Begins to hold.
    ///
    /// - Parameter chunks: what ``ChunkBudget/take(_:)`` gave at the decoder.
    package init(prefill: BackendState, decode: BackendState, chunks: Int) {
        self.prefill = prefill
        self.decode = decode
        self.chunks = chunks
        prefill.handoffBegan()
    }

    /// The KV was used or freed, or never came to be.
    package func end() {
        prefill.handoffEnded()
        decode.meter.budget.give(chunks)
    }

    /// The KV was neither used nor freed: the prefill engine keeps it until its lease ends, the decoder until it is restarted.
    package func lose(leaseEnds: NIODeadline) {
        prefill.handoffLost(leaseEnds: leaseEnds)
        decode.meter.budget.lose(chunks)
    }
}
