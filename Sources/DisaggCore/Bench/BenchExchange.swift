internal import NIOCore

/// One request under way.
final class BenchExchange {
    let request: ByteBuffer
    /// When it began, in nanoseconds: before its connection is made, where it needs a new one.
    let startedAt: Int
    var answer: AnswerReader
    /// nil while it waits for a connection.
    var connection: BenchConnection?
    /// The outcome is known; whatever comes is not looked at.
    var isOver = false
    var wasRetried = false
    /// Tokens that the answer was asked for; 0 where it is none.
    var wantedTokens = 0
    /// Tokens that the prompt is meant to have; nil where nobody knows.
    var promptTokens: Int?
    /// It must be over within this time, in nanoseconds, whatever the settings allow a generation.
    var maximumTime = Int.max
    /// Called once with what is wrong, nil where nothing is.
    let completion: (BenchExchange, AnswerReader.Fault?) -> Void

    init(
        request: ByteBuffer, startedAt: Int, demands: AnswerReader.Demands,
        completion: @escaping (BenchExchange, AnswerReader.Fault?) -> Void
    ) {
        self.request = request
        self.startedAt = startedAt
        answer = AnswerReader(demands)
        self.completion = completion
    }

    /// The first model of an answer to `/v1/models`.
    var modelName: String? { (try? JSONView(parsing: answer.body))?["data"]?[0]?["id"]?.string }
}
