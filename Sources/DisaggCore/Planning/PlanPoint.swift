/// One choice between a fast answer and a cheap one.
public struct PlanPoint: Sendable, Hashable {
    /// Tokens a second that one client sees.
    public var perUser: Double
    /// Output tokens a second that one GPU makes.
    public var perGPU: Double
    /// Ranks of an engine.
    public var ranks: Int
    /// Requests running on a decode engine.
    public var batch: Int

    /// The points that no other one beats in both, by rising speed.
    static func front(_ points: [PlanPoint]) -> [PlanPoint] {
        var best: [PlanPoint] = []
        for point in points.sorted(by: { ($0.perUser, $0.perGPU) > ($1.perUser, $1.perGPU) })
        where point.perGPU > best.last?.perGPU ?? -1 { best.append(point) }
        return best.reversed()
    }
}
