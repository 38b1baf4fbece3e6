import DequeModule
import NIOConcurrencyHelpers

/// The KV store that `plain` and `lmcache-legacy` engines of one process share: it only remembers which prompts were
/// computed, as a hit changes an engine's timing and never its answer.
package final class SharedPrefixStore: Sendable {
    private struct State {
        var known: Set<UInt64> = []
        var order: Deque<UInt64> = []
    }

    private let state = NIOLockedValueBox(State())
    private let capacity: Int

    /// - Parameter capacity: prompts remembered; the oldest is forgotten first.
    package init(capacity: Int = 10_000) { self.capacity = capacity }

    /// Remembers a prompt.
    package func insert(_ history: UInt64) {
        state.withLockedValue { state in
            guard state.known.insert(history).inserted else { return }
            state.order.append(history)
            if state.order.count > capacity { state.known.remove(state.order.removeFirst()) }
        }
    }

    /// Whether the prompt was computed by some engine.
    package func contains(_ history: UInt64) -> Bool { state.withLockedValue { $0.known.contains(history) } }
}
