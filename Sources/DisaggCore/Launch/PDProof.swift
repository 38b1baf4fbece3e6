/// Sends real requests through the proxy, to see that a prompt's KV cache gets from one engine to the other.
///
/// Only the proxy may do this: it names the receiver in the prefill request and waits for the notification.
package struct PDProof: Sendable {
    /// What came of it.
    package enum Verdict: Sendable, Hashable {
        case proven
        /// Requests are answered, but what happened between the engines was not seen.
        case unclear(String)
        case failed(String)
    }

    /// Where the proxy listens.
    package var proxyURL: String
    /// What the requests name.
    package var model: String
    /// How many requests: as many as the larger role has engines, so that each takes part where they take turns.
    package var requests: Int
    /// One request must be answered within this time.
    package var timeout = Duration.seconds(120)

    /// Words that are a few dozen tokens in every vocabulary: more than one block of KV cache.
    private static let prompt = String(repeating: "one two three four five six seven eight ", count: 10)

    /// Sends the requests; where one fails they are sent again, three times in all.
    ///
    /// The first request to a cold engine can exceed deadlines that all later ones keep.
    package func run() async -> Verdict {
        var verdict = Verdict.failed("no request was sent")
        for attempt in 0..<3 {
            if attempt > 0, (try? await Task.sleep(for: .milliseconds(500))) == nil { break }
            verdict = await once()
            guard case .failed = verdict, !Task.isCancelled else { break }
        }
        return verdict
    }

    private func once() async -> Verdict {
        let before = await counters()
        for _ in 0..<max(1, requests) {
            let body =
                "{\"model\": \(JSONString.encode(model)), \"prompt\": \(JSONString.encode(Self.prompt)), "
                + "\"max_tokens\": 2, \"temperature\": 0}"
            let answer = await HTTPProbe(url: "\(proxyURL)/v1/completions", timeout: timeout, json: body).fetch()
            switch answer.outcome {
            case .status(200): break
            case .status(let code):
                let view = try? JSONView(parsing: answer.body)
                let message =
                    view?["error"]?["message"]?.string ?? String(decoding: answer.body.prefix(200), as: UTF8.self)
                return .failed("a request through the proxy was answered \(code): \(message)")
            case .unreachable(let reason): return .failed("a request through the proxy was not answered: \(reason)")
            }
        }
        guard let before, let after = await counters() else {
            return .unclear("the proxy's /metrics could not be read")
        }
        if after.timedOut > before.timedOut {
            return .failed(
                "a request was answered, but the prefill engine did not report that its KV cache has arrived: it was "
                    + "computed twice (Docs/Troubleshooting.md, \"The notification never comes\")")
        }
        guard after.disaggregated > before.disaggregated else {
            return .unclear("the request was answered by a decode engine alone")
        }
        return .proven
    }

    private struct Counters {
        var timedOut = 0.0
        var disaggregated = 0.0
    }

    private func counters() async -> Counters? {
        let answer = await HTTPProbe(url: "\(proxyURL)/metrics").fetch()
        guard answer.outcome == .status(200) else { return nil }
        var counters = Counters()
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                continue
            }
            if line.hasPrefix("disagg_notifications_timed_out_total") { counters.timedOut += value }
            if line.hasPrefix("disagg_requests_total"), line.contains("reason=\"disaggregated\"") {
                counters.disaggregated += value
            }
        }
        return counters
    }
}
