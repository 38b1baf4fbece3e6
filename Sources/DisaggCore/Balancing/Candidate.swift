/// One backend as a policy sees it.
public struct Candidate: Sendable {
    let meter: BackendMeter
    let now: UInt64

    /// Identifies the backend as long as it is a member; never used again after it.
    public var serial: Int { meter.serial }
    /// Its share, more than 0 and at most 1: set by hand, and smaller for a while after a recovery.
    public var weight: Double { meter.share(at: now) }
    /// Requests this proxy has open there.
    public var inFlight: Int { meter.inFlight }
    /// Requests open there, this one included, in relation to the weight: the usual measure of load.
    public var load: Double { meter.load(at: now) }
    /// Prompt tokens of the open requests. With ``FactSet/tokens``.
    public var queuedTokens: Int { meter.queuedTokens }
    /// Prompt tokens it computes in a second; nil until observed. With ``FactSet/speed``.
    public var tokensPerSecond: Double? { meter.tokensPerSecond }
    /// Seconds from a leg's dispatch to its first token; nil until observed. With ``FactSet/speed``.
    public var timeToFirstToken: Double? { meter.timeToFirstToken }
    /// Seconds between two tokens of its streams, with the number of requests that ran; nil until observed. With
    /// ``FactSet/speed``.
    public var timePerToken: (seconds: Double, running: Double)? { meter.timePerToken }
    /// Requests the engine computes; nil where unknown or too old. With ``FactSet/engineLoad``.
    public var running: Int? { freshLoad?.running }
    /// Requests that wait in the engine; nil where unknown or too old. With ``FactSet/engineLoad``.
    public var waiting: Int? { freshLoad?.waiting }
    /// Requests of other routers that the engine had when it last told, 0 where unknown. With ``FactSet/engineLoad``.
    public var foreign: Int { freshLoad?.foreign ?? 0 }
    /// Part of its KV cache in use, 0...1; nil where unknown or too old. With ``FactSet/engineLoad``.
    public var cacheUsage: Double? { freshLoad?.cacheUsage }
    /// Its topology group: KV moves cheaply within one.
    public var group: Int { meter.group }
    /// Its cache holds nothing from before this time: the engine was restarted then.
    public var cacheValidSince: UInt64 { meter.cacheValidSince }

    private var freshLoad: EngineLoad? { meter.freshLoad(at: now) }
}
