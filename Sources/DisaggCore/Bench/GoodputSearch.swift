/// Searches the highest rate at which a server keeps its objectives: a pure machine that says which rate to try next.
///
/// The rate doubles until too few requests keep the objectives, then the interval is halved.
package struct GoodputSearch: Sendable {
    /// The part of the requests that must keep the objectives.
    package let attainment: Double
    /// The highest rate that was good enough; nil where none was.
    package private(set) var best: Double?
    private let maximumRuns: Int
    private let precision: Double
    private var lowestBad: Double?
    private var candidate: Double
    private var runs = 0

    /// Rates beyond this are no use to anybody.
    private static let maximumRate = 1e5
    private static let minimumRate = 1e-3

    /// Begins a search.
    ///
    /// - Parameters:
    ///   - start: the first rate, in requests a second.
    ///   - attainment: 0...1.
    ///   - maximumRuns: after these the best one so far is the answer.
    ///   - precision: how near the best and the lowest bad rate must be, relative to the best.
    package init(start: Double, attainment: Double = 0.95, maximumRuns: Int = 12, precision: Double = 0.05) {
        self.attainment = attainment
        self.maximumRuns = maximumRuns
        self.precision = precision
        candidate = start
    }

    /// The next rate to try, nil where the search is over.
    package var next: Double? {
        guard runs < maximumRuns, (Self.minimumRate...Self.maximumRate).contains(candidate) else { return nil }
        if let best, let lowestBad, lowestBad <= best * (1 + precision) { return nil }
        return candidate
    }

    /// Takes the result of a run at ``next``.
    ///
    /// - Parameter attained: the part of all requests that kept the objectives; failed ones did not.
    package mutating func take(attained: Double) {
        runs += 1
        if attained >= attainment {
            best = max(best ?? 0, candidate)
        } else {
            lowestBad = min(lowestBad ?? .infinity, candidate)
        }
        switch (best, lowestBad) {
        case (let best?, let bad?): candidate = (best + bad) / 2
        case (let best?, nil): candidate = best * 2
        case (nil, let bad?): candidate = bad / 2
        case (nil, nil): break
        }
    }
}
