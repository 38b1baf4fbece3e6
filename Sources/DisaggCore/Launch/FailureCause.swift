/// A known reason for which engines end or do not serve, and how it shows in their log.
package struct FailureCause: Sendable, Hashable {
    /// Short and stable, for example `gpu-memory`.
    package var id: String
    /// Texts of one line of the log, in lower case: all of one list must be there, of any list.
    package var patterns: [[String]]
    /// What it means.
    package var explanation: String
    /// What to do about it.
    package var fix: String
    /// Starting again does not remove it.
    package var isPermanent: Bool

    init(_ id: String, _ patterns: [[String]], _ explanation: String, fix: String, isPermanent: Bool = true) {
        self.id = id
        self.patterns = patterns
        self.explanation = explanation
        self.fix = fix
        self.isPermanent = isPermanent
    }

    /// Whether a line shows it.
    ///
    /// - Parameter line: in lower case.
    func matches(_ line: String) -> Bool {
        patterns.contains { texts in texts.allSatisfy { line.contains($0) } }
    }
}
