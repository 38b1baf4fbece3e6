/// How many requests may be under way, and what becomes of those beyond: the section `admission`.
public struct AdmissionSettings: Sendable, Hashable {
    /// Most requests that wait for a backend; one more is answered 429. 0 lets none wait.
    public var queue = 1024
    /// The longest time a request waits; after it, it is answered 429.
    public var queueTimeout = Duration.seconds(30)
    /// Header whose integer orders waiting requests, lower first; without it a request has 0.
    public var priorityHeader = "x-disagg-priority"
    /// KV chunks that may be on their way to one LMCache decoder, or wait there to be used. Nil computes them from
    /// `lmcache.decodeBufferBytes` and the model's shape, where the shape is known; 0 sets no bound.
    public var chunks: Int?

    /// Creates the defaults.
    public init() {}
}
