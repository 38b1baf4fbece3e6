/// Chooses one of a role's backends for a request.
///
/// A policy of your own is a type with a name and a `pick`:
///
/// ```swift
/// struct FewestWaiting: LoadBalancingPolicy {
///     let name = "fewest-waiting"
///     let needs: FactSet = .engineLoad
///     func pick(
///         from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
///     ) -> Int? {
///         candidates.least(using: &generator) { Double($0.waiting ?? 0) }
///     }
/// }
/// ```
///
/// `pick` is called on every event loop, several times at once, on the request's path: it must be quick and must not
/// block. Time is in the candidates and randomness is an argument, so a policy can be tested without a clock.
public protocol LoadBalancingPolicy: Sendable {
    /// Its name in the deployment file and in metrics.
    var name: String { get }

    /// The facts that ``pick(from:for:using:)`` reads; none where it is not implemented.
    var needs: FactSet { get }

    /// Chooses a backend.
    ///
    /// - Parameters:
    ///   - candidates: the role's backends; those that may not be chosen are among them.
    ///   - request: the facts of ``needs``.
    ///   - generator: the source of randomness.
    /// - Returns: the index of an eligible candidate; nil where none is.
    func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int?
}

extension LoadBalancingPolicy {
    /// Nothing.
    public var needs: FactSet { [] }
}
