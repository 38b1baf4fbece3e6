/// Looks for the reason of a failure in a log.
package enum LogDiagnosis {
    /// What was found.
    package struct Finding: Sendable, Hashable {
        /// What it means and what to do.
        package var cause: FailureCause
        /// The line that shows it.
        package var line: String
    }

    /// The most telling line.
    ///
    /// Errors bring others with them: a full GPU ends a worker, which ends the engine, which ends the server. So the order
    /// of ``FailureCause/all`` decides, not that of the lines; of equal lines the first is taken.
    ///
    /// - Parameter lines: of one run of a process, cleaned of control characters.
    package static func find(in lines: [String]) -> Finding? {
        var best = FailureCause.all.count
        var found: Finding?
        for line in lines {
            let lower = line.lowercased()
            for (rank, cause) in FailureCause.all[..<best].enumerated() where cause.matches(lower) {
                found = Finding(cause: cause, line: line)
                best = rank
                break
            }
            if best == 0 { break }
        }
        return found
    }
}
