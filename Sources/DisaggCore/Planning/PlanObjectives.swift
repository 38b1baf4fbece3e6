/// What latencies a deployment must keep.
public struct PlanObjectives: Sendable, Hashable {
    /// Longest time to the first token, in ms; nil where any will do.
    public var ttft: Double?
    /// Longest time between tokens, in ms; nil where any will do.
    public var tpot: Double?
    /// Share of requests that must keep them, in percent.
    public var percentile: Int

    /// Creates objectives.
    public init(ttft: Double? = nil, tpot: Double? = nil, percentile: Int = 90) {
        self.ttft = ttft
        self.tpot = tpot
        self.percentile = percentile
    }

    /// Whether one request's latencies keep them.
    public func areMet(ttft: Double, tpot: Double) -> Bool {
        ttft <= self.ttft ?? .infinity && tpot <= self.tpot ?? .infinity
    }

    /// Whether enough of a simulation's requests kept them.
    public func areMet(by report: SimulationReport) -> Bool { report.attained * 100 >= Double(percentile) - 1e-9 }
}
