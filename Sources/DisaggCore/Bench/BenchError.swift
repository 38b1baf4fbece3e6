/// Why a benchmark was not run, or measured nothing.
package struct BenchError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened, where, and what to do.
    package var description: String
    /// The exit status of the command: 2 for what the user can correct in the call, 1 otherwise.
    package var exitStatus: Int32

    /// Creates an error.
    package init(_ description: String, exitStatus: Int32 = 2) {
        self.description = description
        self.exitStatus = exitStatus
    }
}
