/// What a run has counted so far. Times are nanoseconds.
package struct BenchTally: Sendable {
    /// Requests that were started.
    package var started = 0
    /// Answers that were complete and right.
    package var succeeded = 0
    /// Those of them that kept the objectives.
    package var good = 0
    /// Requests that failed, by reason.
    package var failures: [BenchFailure: Int] = [:]
    /// What the first failure of each reason said.
    package var examples: [BenchFailure: String] = [:]
    /// Requests that were under way when the run was ended.
    package var cutOff = 0

    /// What happened when.
    package var timeline = BenchTimeline()
    /// Tokens that came, of answers under way and failed ones too.
    package var arrivedTokens = 0
    /// Tokens that were asked for by the requests that succeeded.
    package var wantedTokens = 0

    package var ttft = LatencyHistogram()
    package var tpot = LatencyHistogram()
    package var itl = LatencyHistogram()
    package var e2e = LatencyHistogram()
    /// Time to connect.
    package var connect = LatencyHistogram()
    /// How much later than planned an arrival of an open loop was sent.
    package var lag = LatencyHistogram()

    /// Tokens of successful answers, as the engine counted them where it did.
    package var outputTokens = 0
    /// Tokens of successful answers' prompts, where the engine counted them.
    package var promptTokens = 0
    /// What prompts were meant to have, of those that the engine counted.
    package var wantedPromptTokens = 0
    /// Prompts of another length than was meant, by the engine's count.
    package var wrongPrompts = 0
    package var sentBytes = 0
    package var receivedBytes = 0
    package var connections = 0
    /// Requests sent again because their idle connection had been closed.
    package var retries = 0
    package var maximumOpen = 0
    package var startedAt: Int?
    package var endedAt = 0

    /// Requests that failed.
    package var failed: Int { failures.values.reduce(0, +) }

    /// From the first request to the last answer.
    package var nanoseconds: Int { max(0, endedAt - (startedAt ?? endedAt)) }

    /// Counts an exchange that has ended.
    mutating func count(
        _ exchange: BenchExchange, _ fault: AnswerReader.Fault?, at now: Int, objectives: ServiceObjectives
    ) {
        endedAt = now
        if let fault {
            failures[fault.kind, default: 0] += 1
            timeline.note(at: now) { $0.failed += 1 }
            if examples[fault.kind] == nil { examples[fault.kind] = fault.detail }
            return
        }
        succeeded += 1
        timeline.note(at: now) { $0.finished += 1 }
        wantedTokens += exchange.wantedTokens
        let answer = exchange.answer
        outputTokens += answer.outputTokens
        promptTokens += answer.usage?.prompt ?? 0
        if let told = answer.usage?.prompt, let wanted = exchange.promptTokens {
            wantedPromptTokens += wanted
            if told != wanted { wrongPrompts += 1 }
        }
        let whole = now - exchange.startedAt
        e2e.record(whole)
        var first: Int?
        var between: Int?
        if let firstToken = answer.firstTokenAt {
            first = firstToken - exchange.startedAt
            ttft.record(firstToken - exchange.startedAt)
            if answer.outputTokens > 1 {
                between = (answer.lastTokenAt - firstToken) / (answer.outputTokens - 1)
                tpot.record(between ?? 0)
            }
        }
        if objectives.areMet(ttft: first, tpot: between, e2e: whole) { good += 1 }
    }
}
