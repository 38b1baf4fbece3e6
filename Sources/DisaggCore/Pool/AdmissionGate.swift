internal import NIOConcurrencyHelpers
internal import Synchronization

/// The queue of requests that wait for a backend, shared by all event loops of a proxy.
///
/// Budgets and limits are atomics of each backend: while nobody waits, nothing here is locked. Once somebody waits, new
/// requests wait behind; whoever frees room says so, and the first waiter is woken on its own loop and picks for itself.
package final class AdmissionGate: Sendable {
    package typealias Ticket = AdmissionQueue<Waiter>.Ticket

    /// How a waiting request is woken: `wake` is called on any thread and hops to the request's loop.
    package struct Waiter: Sendable {
        let wake: @Sendable (Ticket) -> Void
    }

    private let queue: NIOLockedValueBox<AdmissionQueue<Waiter>>
    private let waiting = Atomic<Int>(0)
    private let rejected = Atomic<Int>(0)

    /// Creates a gate.
    ///
    /// - Parameter capacity: most requests that wait.
    package init(capacity: Int) { queue = NIOLockedValueBox(AdmissionQueue(capacity: capacity)) }

    /// Requests that wait now.
    package var count: Int { waiting.load(ordering: .relaxed) }
    /// What a request that is turned away is told to wait, in seconds: one for each hundred that wait, at most a minute.
    package var secondsToWait: Int { max(1, min(60, count / 100)) }
    /// Requests that found the queue full so far.
    package var rejections: Int { rejected.load(ordering: .relaxed) }

    /// Lets a request wait.
    ///
    /// - Returns: nil where the queue is full.
    package func wait(
        tenant: UInt64, priority: Int, wake: @escaping @Sendable (Ticket) -> Void
    ) -> Ticket? {
        let ticket = queue.withLockedValue { queue in
            let ticket = queue.arrive(Waiter(wake: wake), tenant: tenant, priority: priority)
            waiting.store(queue.count, ordering: .relaxed)
            return ticket
        }
        if ticket == nil { rejected.wrappingAdd(1, ordering: .relaxed) }
        // Room may have become free between the pick that failed and now.
        roomFreed()
        return ticket
    }

    /// A backend may have room: a request ended, KV was used, an engine came up.
    package func roomFreed() {
        guard waiting.load(ordering: .relaxed) > 0 else { return }
        wake(queue.withLockedValue { $0.roomFreed() })
    }

    /// The woken request was admitted, or found no room after all.
    package func decided(_ ticket: Ticket, admitted: Bool) {
        change { $0.decided(ticket, admitted: admitted) }
    }

    /// A request waits no more.
    package func leave(_ ticket: Ticket) { change { $0.leave(ticket) } }

    private func change(_ body: (inout AdmissionQueue<Waiter>) -> (ticket: Ticket, waiter: Waiter)?) {
        let next = queue.withLockedValue { queue in
            let next = body(&queue)
            waiting.store(queue.count, ordering: .relaxed)
            return next
        }
        wake(next)
    }

    private func wake(_ next: (ticket: Ticket, waiter: Waiter)?) {
        if let next { next.waiter.wake(next.ticket) }
    }
}
