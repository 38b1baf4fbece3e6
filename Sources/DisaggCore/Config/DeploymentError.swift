/// Why a deployment file cannot be used: every problem found, not only the first.
///
/// `description` has one problem a line, in the form compilers use, so editors jump to it:
/// `disagg.yaml:14:11: prefill.port: expected 1...65535, got "81OO"`.
public struct DeploymentError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One thing that is wrong.
    public struct Problem: Sendable, Hashable {
        /// Line in the file, from 1; 0 where the file could not be read at all.
        public var line: Int
        /// Column in characters, from 1; 0 where the file could not be read at all.
        public var column: Int
        /// The field, for example `prefill.port`; empty where the problem is the file itself.
        public var path: String
        /// What was expected and what was found.
        public var message: String
    }

    /// How many problems are collected before reading stops.
    public static let maximumProblems = 20

    /// The file's name as it was given.
    public let fileName: String
    /// What is wrong, in the file's order; never empty, at most ``maximumProblems``.
    public let problems: [Problem]

    package init(fileName: String, problems: [Problem]) {
        self.fileName = fileName
        let ordered = problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        self.problems = Array(ordered.prefix(Self.maximumProblems))
    }

    package init(fileName: String, reason: String) {
        self.init(fileName: fileName, problems: [Problem(line: 0, column: 0, path: "", message: reason)])
    }

    /// The problems, one a line.
    public var description: String {
        problems.map { problem in
            let place = problem.line > 0 ? "\(fileName):\(problem.line):\(problem.column)" : fileName
            return problem.path.isEmpty
                ? "\(place): \(problem.message)" : "\(place): \(problem.path): \(problem.message)"
        }.joined(separator: "\n")
    }
}
