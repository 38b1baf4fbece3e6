/// How the proxy chooses backends and keeps itself from those that cannot serve: the section `routing`.
public struct RoutingSettings: Sendable, Hashable {
    /// What counts for prefill backends.
    public var prefill = RoleRouting()
    /// What counts for decode backends.
    public var decode = RoleRouting()
    /// What to do with a request where every backend of a role is down.
    public var whenAllDown = WhenAllDown.tryAnyway
    /// Time over which a recovered backend's share grows from a tenth to its full weight.
    public var slowStart = Duration.seconds(10)
    /// How often engines are asked for their load, where a policy needs it.
    public var scrapeInterval = Duration.seconds(1)
    /// The circuit breaker of each backend.
    public var breaker = BreakerSettings()
    /// Tunables of `session`.
    public var session = SessionSettings()
    /// Tunables of `prefix-cache`, and of `kv-events` where engines say nothing.
    public var prefixCache = PrefixCacheSettings()
    /// Tunables of `pair-cost`.
    public var pairCost = PairCostTunables()

    /// Creates the defaults.
    public init() {}

    /// What counts for a role.
    public subscript(role: BackendRole) -> RoleRouting {
        get { role == .prefill ? prefill : decode }
        set { if role == .prefill { prefill = newValue } else { decode = newValue } }
    }
}

/// What the proxy does where every backend of a role is down.
public enum WhenAllDown: String, Sendable, Hashable, CaseIterable {
    /// Sends the request to one all the same: health checks may be wrong, and a failed try costs little.
    case tryAnyway = "try"
    /// Answers 503 at once.
    case refuse
}
