/// One request of a simulated load.
public struct WorkloadRequest: Sendable, Hashable {
    /// When it arrives, in ms.
    public var arrival: Double
    /// Prompt tokens.
    public var inputTokens: Int
    /// Tokens of the answer.
    public var outputTokens: Int

    /// Creates a request.
    public init(arrival: Double, inputTokens: Int, outputTokens: Int) {
        self.arrival = arrival
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }
}
