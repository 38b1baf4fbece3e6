/// Why a request does not count as answered.
package enum BenchFailure: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// No connection.
    case connect
    /// An answer with another status than 200.
    case status(Int)
    /// An error object in the middle of a stream: what proxies and engines send when something breaks behind them.
    case streamError
    /// The connection ended before the answer, or the stream had no `[DONE]`.
    case truncated
    /// The answer breaks HTTP/1, server-sent events or JSON.
    case malformed
    /// Not complete in time.
    case timeout
    /// `--check`: not as many tokens as asked for, or as the engine counted, or no reason to finish.
    case tokens
    /// `--check-order`: a numbered token in another's place.
    case order

    package var description: String {
        switch self {
        case .connect: "connect"
        case .status(let code): "status \(code)"
        case .streamError: "stream error"
        case .truncated: "truncated"
        case .malformed: "malformed"
        case .timeout: "timeout"
        case .tokens: "wrong tokens"
        case .order: "wrong order"
        }
    }
}
