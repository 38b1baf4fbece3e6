/// What a search found.
public struct PlanResult: Sendable {
    /// The request.
    public var request: PlanRequest
    /// The best layout; nil where none keeps the objectives.
    public var best: PlanCandidate?
    /// The best layouts of both kinds, best first.
    public var candidates: [PlanCandidate]
    /// The best disaggregated layout.
    public var bestApart: PlanCandidate?
    /// The best layout of engines that do both.
    public var bestTogether: PlanCandidate?
    /// Speed against cost of disaggregated layouts.
    public var frontApart: [PlanPoint]
    /// Speed against cost of engines that do both.
    public var frontTogether: [PlanPoint]
    /// Requests a second with one GPU more, by formula and in relation to the best layout's simulation; nil where unknown.
    public var goodputWithOneMore: Double?
    /// The layout that this would be.
    public var layoutWithOneMore: PlanLayout?
    /// Where the engines go; nil without a best layout.
    public var placement: Placement?
    /// What the numbers rest on.
    public var basis: String
    /// Why the best one is the best, in sentences.
    public var explanation: [String]
    /// Layouts that were looked at.
    public var considered: Int

    /// Output tokens a second of a layout at the needed rate, or at the highest that it sustains.
    public func tokensPerSecond(_ candidate: PlanCandidate) -> Double {
        let rate = request.isRateGiven ? min(candidate.goodput, request.workload.rate) : candidate.goodput
        return rate * request.workload.output.mean
    }

    /// US dollars for a million output tokens at the best layout's rate; nil without one.
    public var dollarsPerMillionTokens: Double? {
        guard let best else { return nil }
        let tokens = tokensPerSecond(best)
        guard tokens > 0 else { return nil }
        return Double(best.layout.gpus) * request.dollarsPerHour / 3_600 / tokens * 1e6
    }
}
