package import NIOCore

/// One hand-off as its two backends count it: while it lasts, neither may be stopped without harm.
///
/// It begins with the prefill and ends once: a decode took the KV, it was freed, it never came to be, or its lease has ended.
/// Lives on one event loop.
package final class KVHold {
    private let prefill: BackendState
    private let decode: BackendState
    private let lease: Duration?
    private var isOpen = true

    /// Counts a hand-off in.
    ///
    /// - Parameter lease: how long the prefill engine holds KV that nobody took; nil where that is not bounded by time, so
    ///   that waiting would be in vain.
    package init(prefill: BackendState, decode: BackendState, lease: Duration?) {
        self.prefill = prefill
        self.decode = decode
        self.lease = lease
        prefill.handoffBegan()
        decode.handoffBegan()
    }

    /// The KV was taken or freed, or never came to be.
    package func end() {
        guard isOpen else { return }
        isOpen = false
        prefill.handoffEnded()
        decode.handoffEnded()
    }

    /// The KV was neither taken nor freed.
    package func lose(at now: NIODeadline) {
        guard isOpen else { return }
        guard let lease else { return end() }
        isOpen = false
        prefill.handoffLost(leaseEnds: now + TimeAmount(lease))
        decode.handoffEnded()
    }
}
