internal import NIOConcurrencyHelpers

/// Stops the benchmark that runs, and those that would follow it.
package final class BenchStop: Sendable {
    private let state = NIOLockedValueBox<(control: BenchControl?, requests: Int)>((nil, 0))

    /// Nothing runs yet.
    package init() {}

    /// A benchmark begins; where a stop was asked for before, it is stopped at once.
    package func follow(_ control: BenchControl) {
        let requests = state.withLockedValue { state in
            state.control = control
            return state.requests
        }
        for _ in 0..<min(2, requests) { control.stop() }
    }

    /// Starts no more requests; called again, cuts off those under way.
    package func request() {
        let control = state.withLockedValue { state in
            state.requests += 1
            return state.control
        }
        control?.stop()
    }
}
