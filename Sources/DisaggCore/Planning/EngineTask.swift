/// What one simulated engine has to do for one request.
struct EngineTask: Sendable {
    /// The request's number.
    var request: Int
    /// Prompt tokens to compute here; 0 where their KV cache arrives by a hand-off.
    var promptTokens: Int
    /// KV tokens that are there when the prompt is computed or has arrived.
    var contextTokens: Int
    /// Tokens to generate here after the prompt's own; for a hand-off, all.
    var outputTokens: Int
    /// For how long the engine stands still when the request joins, in ms.
    var stall: Double = 0
    /// Prompt tokens computed so far.
    var computed = 0
    /// KV tokens reserved for it.
    var reservedTokens: Int { contextTokens + outputTokens }
}
