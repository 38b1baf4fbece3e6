/// How long an engine's steps take; what the discrete-event simulation and the simulated engines ask.
///
/// A step computes some prompts' tokens and gives every running request one. Prompts enter as *work*, a number that adds
/// up over the prompts of a step: attention depends on each prompt's own length, so their token sum is not enough.
package protocol StepTiming: Sendable {
    /// The work of computing `tokens` more tokens of a prompt whose first `cached` are computed.
    func promptWork(tokens: Int, cached: Int) -> Double

    /// Milliseconds of one step.
    ///
    /// - Parameters:
    ///   - prompts: prompts of which tokens are computed.
    ///   - promptTokens: their tokens in this step.
    ///   - work: the sum of their work.
    ///   - running: requests that get a token.
    ///   - contextTokens: the sum of their KV tokens.
    func stepMilliseconds(prompts: Int, promptTokens: Int, work: Double, running: Int, contextTokens: Int) -> Double

    /// Milliseconds between a request's arrival and its being ready to be scheduled, and from its first token to the
    /// client: nobody else waits for them.
    func requestMilliseconds(promptTokens: Int) -> Double
}
