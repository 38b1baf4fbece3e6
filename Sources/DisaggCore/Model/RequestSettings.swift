/// How the proxy treats single requests.
public struct RequestSettings: Sendable, Hashable {
    /// Whether answers tell in `x-disagg-decision` how they were made. Off: the field names backends.
    public var showsDecision = false
    /// Prefill engines that a client may name in `x-prefiller-host-port`; a request that names another one is refused.
    public var allowedPrefillers: [Endpoint] = []

    /// Creates the defaults.
    public init() {}
}
