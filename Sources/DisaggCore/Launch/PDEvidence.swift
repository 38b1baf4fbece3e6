/// What an engine's log must say, and must not say, before its part of the LMCache hand-off is believed to work.
///
/// A PD start that failed does not stop vLLM: it answers health checks and requests, and transfers nothing. Two receivers
/// on one port both come up without an error. The only proof of a good bind are two INFO lines for each rank of the
/// decode engine (LMCache 0.4.5 to 0.5.6, async backend).
package struct PDEvidence: Sendable, Hashable {
    /// What the log says.
    package enum Verdict: Sendable, Hashable {
        /// Everything that was looked for is there.
        case proven
        /// These lines are not there (yet).
        case missing([String])
        /// The engine works without the hand-off; the line that says so.
        case degraded(String)
    }

    /// Receiver ports whose bind must be logged; empty for a prefill engine, which binds none.
    package var allocPorts: [Int]

    /// Names the ports.
    package init(allocPorts: [Int]) { self.allocPorts = allocPorts }

    /// Judges a log.
    ///
    /// - Parameter lines: since the process was started.
    package func judge(_ lines: [String]) -> Verdict {
        var loops = 0
        var bound: Set<Int> = []
        for line in lines {
            let lower = line.lowercased()
            if lower.contains("degraded mode") { return .degraded(line) }
            if lower.contains("starting async initialization loop") { loops += 1 }
            if let found = lower.firstRange(of: "async mem alloc server listening on port ") {
                if let port = Int(lower[found.upperBound...].prefix { $0.isASCII && $0.isNumber }) {
                    bound.insert(port)
                }
            }
        }
        var missing = allocPorts.filter { !bound.contains($0) }.map { "Async mem alloc server listening on port \($0)" }
        if loops < allocPorts.count {
            missing.append("Starting async initialization loop (\(loops) of \(allocPorts.count) ranks)")
        }
        return missing.isEmpty ? .proven : .missing(missing)
    }
}
