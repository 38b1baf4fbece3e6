/// How the backends of one role are chosen and watched.
public struct RoleRouting: Sendable, Hashable {
    /// The policy that chooses.
    public var policy = PolicyKind.pairCost
    /// How often `GET /health` is asked; zero turns it off.
    public var healthInterval = Duration.seconds(2)
    /// `/health` must be answered within this time.
    public var healthTimeout = Duration.seconds(2)
    /// Failed health checks in a row after which a backend is left out. A refused connection counts at once.
    public var unhealthyAfter = 2
    /// Most requests open at one backend; 0 for no limit.
    public var maximumInFlight = 0
    /// Topology group of each replica, in replica order, 0...7; all are in group 0 where empty.
    public var groups: [Int] = []

    /// Where each replica publishes KV events (vLLM `--kv-events-config`, `endpoint`), in replica order; for `kv-events`.
    public var kvEvents: [Endpoint] = []
    /// Where each replica answers replay requests (`replay_endpoint`), in replica order; none does where empty.
    public var kvReplay: [Endpoint] = []

    /// Creates the defaults.
    public init() {}
}

/// The load-balancing policies of a deployment file.
public enum PolicyKind: String, Sendable, Hashable, CaseIterable {
    case roundRobin = "round-robin"
    case random
    case leastLoaded = "least-loaded"
    case powerOfTwo = "power-of-two"
    case leastTokens = "least-tokens"
    case session
    case prefixCache = "prefix-cache"
    case kvEvents = "kv-events"
    case pairCost = "pair-cost"
}
