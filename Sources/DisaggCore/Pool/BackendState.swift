package import NIOCore
internal import Synchronization

/// A backend with what all event loops share about it: counters, and whether it is thought to be down.
package final class BackendState: Sendable {
    package let backend: Backend
    /// The address where the host is a literal; names are resolved at each connect.
    package let address: SocketAddress?
    /// The value of the `Host` header.
    package let authority: String

    private let ejectedUntil = Atomic<UInt64>(0)
    private let isDown = Atomic<Bool>(false)
    private let requestsInFlight = Atomic<Int>(0)
    private let picks = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)
    private let context = Atomic<Int>(0)

    package init(_ backend: Backend) {
        self.backend = backend
        authority = backend.authority
        address = try? SocketAddress(ipAddress: backend.host, port: backend.port)
    }

    /// Requests this proxy has open there.
    package var inFlight: Int { requestsInFlight.load(ordering: .relaxed) }
    /// Requests sent there so far.
    package var picked: Int { picks.load(ordering: .relaxed) }
    /// Failed exchanges so far: refused, broken or timed out.
    package var failed: Int { failures.load(ordering: .relaxed) }

    /// The engine's longest sequence in tokens; nil until it told.
    package var contextLength: Int? {
        get {
            let value = context.load(ordering: .relaxed)
            return value > 0 ? value : nil
        }
        set { context.store(newValue ?? 0, ordering: .relaxed) }
    }

    /// Whether the backend may be chosen now.
    package func isAvailable(at now: NIODeadline) -> Bool {
        ejectedUntil.load(ordering: .relaxed) <= now.uptimeNanoseconds
    }

    /// Takes the backend out of the choice for a while: its port refused a connection.
    ///
    /// - Returns: whether it was thought to be up until now.
    package func eject(for duration: TimeAmount, at now: NIODeadline) -> Bool {
        failures.wrappingAdd(1, ordering: .relaxed)
        ejectedUntil.store((now + duration).uptimeNanoseconds, ordering: .relaxed)
        return !isDown.exchange(true, ordering: .relaxed)
    }

    /// Counts a failure that does not take the backend out.
    package func recordFailure() { failures.wrappingAdd(1, ordering: .relaxed) }

    /// Makes the backend eligible again: it answered.
    ///
    /// - Returns: whether it was thought to be down until now.
    package func readmit() -> Bool {
        guard isDown.load(ordering: .relaxed) else { return false }
        ejectedUntil.store(0, ordering: .relaxed)
        return isDown.exchange(false, ordering: .relaxed)
    }

    /// Counts a request in; every call is paired with ``leave()``.
    package func enter() {
        picks.wrappingAdd(1, ordering: .relaxed)
        requestsInFlight.wrappingAdd(1, ordering: .relaxed)
    }

    /// Counts a request out.
    package func leave() { requestsInFlight.wrappingSubtract(1, ordering: .relaxed) }
}
