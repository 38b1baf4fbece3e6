/// How a leg at a backend ended, as far as the backend is to be judged by it.
package enum LegOutcome: Sendable, Hashable {
    /// It answered: 2xx, or a 4xx that is about the request.
    case answered
    /// It said that it has too much to do: 429 or 503, with the seconds of `Retry-After` where it sent them. No fault.
    case overloaded(retryAfter: Int?)
    /// It failed: another 5xx, a broken connection, nonsense, or no answer in time.
    case fault

    /// The outcome of an answer's status.
    package static func status(_ status: Int, retryAfter: Int? = nil) -> LegOutcome {
        switch status {
        case 429, 503: .overloaded(retryAfter: retryAfter)
        case 500...: .fault
        default: .answered
        }
    }
}
