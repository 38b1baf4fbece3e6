/// Decides when a backend that answers wrongly is left out, and when it is tried again. No clock of its own.
///
/// | state     | outcome              | then                                          |
/// |-----------|----------------------|-----------------------------------------------|
/// | closed    | answered             | faults forgotten                              |
/// | closed    | the last of N faults | open for a while                              |
/// | open      | anything             | ignored: those requests began before          |
/// | half-open | answered             | closed                                        |
/// | half-open | fault                | open, twice as long                           |
///
/// An open breaker is half-open when its time is over: one request at a time is let through. Back-pressure is no outcome
/// here. A leg is judged by its own end only, so a prefill's failure never counts against the decoder.
package struct BreakerMachine: Sendable {
    package enum State: Sendable, Equatable {
        case closed
        /// Until that time, in nanoseconds; half-open from then on.
        case open(until: UInt64)
    }

    /// What to do after an outcome.
    package enum Change: Sendable, Equatable {
        case opened(until: UInt64)
        case closed
    }

    private let settings: BreakerSettings
    package private(set) var state = State.closed
    private var faults = 0
    private var openings = 0

    package init(_ settings: BreakerSettings = BreakerSettings()) { self.settings = settings }

    /// What an observer would call the state.
    package func name(at now: UInt64) -> String {
        switch state {
        case .closed: "closed"
        case .open(let until): now < until ? "open" : "half-open"
        }
    }

    /// Takes the outcome of a leg.
    package mutating func record(_ outcome: LegOutcome, at now: UInt64) -> Change? {
        if case .open(let until) = state, now < until { return nil }
        switch outcome {
        case .overloaded: return nil
        case .answered:
            faults = 0
            guard state != .closed else { return nil }
            state = .closed
            openings = 0
            return .closed
        case .fault:
            faults += 1
            guard state != .closed || faults >= settings.failures else { return nil }
            let doublings = UInt64(min(openings, 20))
            let time = min(settings.openFor.nanoseconds << doublings, settings.openAtMost.nanoseconds)
            openings += 1
            faults = 0
            let until = now &+ time
            state = .open(until: until)
            return .opened(until: until)
        }
    }

    /// The backend was restarted: its faults are history.
    package mutating func reset() {
        state = .closed
        faults = 0
        openings = 0
    }
}
