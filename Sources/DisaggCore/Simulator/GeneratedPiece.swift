/// Why a choice ended.
enum FinishReason: String, Sendable {
    case stop, length, abort, error
    case toolCalls = "tool_calls"
    /// TensorRT-LLM: the context server has done its part.
    case notFinished = "not_finished"
}

/// What one decode step added to one choice.
struct GeneratedPiece {
    /// Index of the choice in the answer.
    var index: Int
    /// Text that may be shown now; often empty while a character or a stop string is incomplete.
    var text = ""
    /// The generated ids, the end of the text and stop tokens included.
    var tokens: [Int] = []
    /// Log probabilities: of the prompt under `echo`, then of ``tokens``. Empty where none were asked for.
    var sampled: [SampledToken] = []
    /// The choice has ended.
    var finish: FinishReason?
    /// What made it stop, as JSON: a stop string, a stop token's id or `null`.
    var stopReason = "null"
    /// The choice's first piece.
    var isFirst = false
}
