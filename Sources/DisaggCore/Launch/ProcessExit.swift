/// How a child process ended.
package enum ProcessExit: Sendable, Hashable, CustomStringConvertible {
    /// It returned this status.
    case status(Int32)
    /// A signal ended it.
    case signal(Int32)

    package var description: String {
        switch self {
        case .status(let code): "exit status \(code)"
        case .signal(let number): "killed by signal \(number)\(Self.names[number].map { " (\($0))" } ?? "")"
        }
    }

    /// Numbers of Linux on x86-64 and arm64.
    private static let names: [Int32: String] = [
        1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
        9: "SIGKILL, often the system's memory limit", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM",
    ]
}
