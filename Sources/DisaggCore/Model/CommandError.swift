/// Why a command was not carried out, or did not go on.
package struct CommandError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened, where, and what to do.
    package var description: String
    /// The exit status of the command: 2 where the input or the machine does not allow a start, 1 for failures later.
    package var exitStatus: Int32

    /// Creates an error; `exitStatus` is 2 for what the user can correct, 1 otherwise.
    package init(_ description: String, exitStatus: Int32 = 2) {
        self.description = description
        self.exitStatus = exitStatus
    }
}
