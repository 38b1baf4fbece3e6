/// The facts a policy reads. What no policy of a deployment declares is neither measured nor computed.
public struct FactSet: OptionSet, Sendable, Hashable {
    /// One bit a fact.
    public let rawValue: UInt8

    /// Creates a set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// ``Candidate/queuedTokens`` and ``RequestFacts/promptTokens``: the prompt's length is estimated.
    public static let tokens = FactSet(rawValue: 1 << 0)
    /// ``Candidate/tokensPerSecond``, ``Candidate/timeToFirstToken`` and ``Candidate/timePerToken``: moving averages of what was
    /// observed.
    public static let speed = FactSet(rawValue: 1 << 1)
    /// ``Candidate/running``, ``Candidate/waiting`` and ``Candidate/cacheUsage``: the engines' metrics are scraped.
    public static let engineLoad = FactSet(rawValue: 1 << 2)
    /// ``RequestFacts/sessionKey``.
    public static let sessionKey = FactSet(rawValue: 1 << 3)
    /// ``RequestFacts/prefixKeys``; none where there is but one backend of each role.
    public static let prefixKeys = FactSet(rawValue: 1 << 4)
    /// ``RequestFacts/tokenIDs``.
    public static let tokenIDs = FactSet(rawValue: 1 << 5)
}
