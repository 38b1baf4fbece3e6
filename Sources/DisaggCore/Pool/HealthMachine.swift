/// Decides whether a backend is up, from health checks and from what happens to requests. No clock, no sockets.
///
/// | state | input                           | then                                             |
/// |-------|---------------------------------|--------------------------------------------------|
/// | up    | a refused connection            | down at once                                     |
/// | up    | N failed checks in a row        | down                                             |
/// | up    | a passed check                  | failures forgotten                               |
/// | down  | a passed check                  | up                                               |
/// | down  | a request is answered           | up, unless checks were answered with an error    |
///
/// A check is `GET /health` and never a generation: a plain request ends an LMCache prefill engine.
package struct HealthMachine: Sendable {
    /// Why a backend is down.
    package enum Cause: String, Sendable {
        /// Its port refuses connections.
        case refused
        /// It does not answer.
        case silent
        /// It answers its health check with an error: the engine behind the server is dead.
        case unhealthy
    }

    package enum State: Sendable, Equatable {
        case up
        case down(Cause)
    }

    /// What changed by an input.
    package enum Change: Sendable, Equatable {
        case wentDown(Cause)
        case cameUp(after: Cause)
    }

    package private(set) var state = State.up
    private var failures = 0
    private let unhealthyAfter: Int

    package init(unhealthyAfter: Int = 2) { self.unhealthyAfter = max(1, unhealthyAfter) }

    /// A health check was answered with 200.
    package mutating func passed() -> Change? {
        failures = 0
        guard case .down(let cause) = state else { return nil }
        state = .up
        return .cameUp(after: cause)
    }

    /// A health check failed.
    package mutating func failed(_ cause: Cause) -> Change? {
        if cause == .refused { return refused() }
        failures += 1
        guard state == .up, failures >= unhealthyAfter else {
            if case .down = state { state = .down(cause) }
            return nil
        }
        state = .down(cause)
        return .wentDown(cause)
    }

    /// A connection was refused, by a request or a check.
    package mutating func refused() -> Change? {
        let wasUp = state == .up
        state = .down(.refused)
        return wasUp ? .wentDown(.refused) : nil
    }

    /// A request was answered, whatever the status.
    package mutating func answered() -> Change? {
        guard case .down(let cause) = state, cause != .unhealthy else { return nil }
        state = .up
        failures = 0
        return .cameUp(after: cause)
    }
}
