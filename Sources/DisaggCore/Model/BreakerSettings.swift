/// When a backend that answers, but wrongly, is left out.
public struct BreakerSettings: Sendable, Hashable {
    /// Faults in a row that open the breaker. A fault is a 5xx but 503, a broken connection or a timeout.
    public var failures = 5
    /// The first time an opened breaker stays open; each further one is twice as long.
    public var openFor = Duration.seconds(2)
    /// The longest time a breaker stays open.
    public var openAtMost = Duration.seconds(60)

    /// Creates the defaults.
    public init() {}
}
