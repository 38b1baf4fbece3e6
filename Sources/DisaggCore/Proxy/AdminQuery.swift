/// The parameters after the question mark of an admin request.
struct AdminQuery {
    /// How long the answer may wait for a drain to end; zero where it shall come at once.
    var wait = Duration.zero
    /// Whether to go on where it would leave a role without backends, or would end before a drain has.
    var isForced = false

    /// Most time an answer may wait.
    static let longestWait = Duration.seconds(3600)

    /// Reads `wait=30s&force=true`.
    ///
    /// - Throws: ``DisaggError`` that names the parameter.
    init(target: String) throws(DisaggError) {
        guard let mark = target.firstIndex(of: "?") else { return }
        for pair in target[target.index(after: mark)...].split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? String(parts[1]) : ""
            switch parts[0] {
            case "wait":
                guard let duration = ConfigText.duration(value), duration <= Self.longestWait else {
                    throw DisaggError(.badRequest, "wait: expected a duration as 30s, at most 1h, got \"\(value)\"")
                }
                wait = duration
            case "force":
                guard ["true", "false"].contains(value) else {
                    throw DisaggError(.badRequest, "force: expected true or false, got \"\(value)\"")
                }
                isForced = value == "true"
            default: throw DisaggError(.badRequest, "unknown parameter \"\(parts[0])\"; known are wait and force")
            }
        }
    }
}
