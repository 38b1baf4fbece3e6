/// Chooses one of a role's backends for a request.
public protocol LoadBalancingPolicy: Sendable {
    /// Its name in the deployment file and in metrics.
    var name: String { get }

    /// Chooses a backend.
    ///
    /// - Parameters:
    ///   - count: how many backends there are, 1 or more.
    ///   - isEligible: whether the backend at an index may be chosen.
    /// - Returns: an index in `0..<count` that is eligible; nil where none is.
    func pick(count: Int, isEligible: (Int) -> Bool) -> Int?
}
